# Installs files beside libcufes: its public headers and, if CUFES_BUNDLE_RUNTIME is on, libcudart.

install(FILES "${kernels}/include/cufes.h" "${kernels}/include/FES.cuh"
              "${kernels}/include/FES_f32.cuh" DESTINATION "${destination}")
if(CUFES_BUNDLE_RUNTIME)
  get_filename_component(runtime_file "${CUDA_RUNTIME}" REALPATH)
  execute_process(
    COMMAND "${CMAKE_OBJDUMP}" -p "${runtime_file}" OUTPUT_VARIABLE headers ERROR_QUIET)
  string(REGEX MATCH "SONAME +([^ \n]+)" ignored "${headers}")
  set(soname "${CMAKE_MATCH_1}")
  if(NOT soname)
    message(FATAL_ERROR "cannot read the SONAME of ${runtime_file} with ${CMAKE_OBJDUMP}")
  endif()
  install(FILES "${runtime_file}" DESTINATION "${destination}/.libs" RENAME "${soname}")
endif()
