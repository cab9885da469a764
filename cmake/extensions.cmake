# The Cython extensions. They include cufes.h but do not link libcufes: they load it at run time, so
# that no NEEDED entry ties the package to a place in the data scheme.

foreach(name wrapper wrapper_f32)
  set(source "${PROJECT_SOURCE_DIR}/cyfes/${name}.pyx")
  set(generated "${CMAKE_CURRENT_BINARY_DIR}/${name}.c")
  # The working directory makes the paths that Cython writes into the C file relative.
  add_custom_command(
    OUTPUT "${generated}"
    COMMAND "${Python_EXECUTABLE}" -m cython -3 --fast-fail "cyfes/${name}.pyx" -o "${generated}"
    DEPENDS "${source}" "${PROJECT_SOURCE_DIR}/cyfes/wrapper_body.pxi"
            "${PROJECT_SOURCE_DIR}/cyfes/cufes.pxd"
    WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}"
    COMMENT "Cythonizing ${name}.pyx"
    VERBATIM)
  Python_add_library(${name} MODULE "${generated}" WITH_SOABI)
  target_include_directories(${name} PRIVATE "${PROJECT_SOURCE_DIR}/cyfes/kernels/include")
  target_link_libraries(${name} PRIVATE ${CMAKE_DL_LIBS})
  target_compile_options(${name} PRIVATE
                         "-ffile-prefix-map=${PROJECT_SOURCE_DIR}=."
                         "-ffile-prefix-map=${CMAKE_CURRENT_BINARY_DIR}=build")
  install(TARGETS ${name} LIBRARY DESTINATION cyfes)
endforeach()
