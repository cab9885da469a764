# Builds libcufes: the C API with its CPU and CUDA back ends.

# The device code does not depend on the host compiler: NVRTC (or nvcc) makes an image for each
# architecture, which is embedded as data.
set(device_sources "${kernels}/FES.cu" "${kernels}/FES_f32.cu")
if(CUFES_NVCC)
  set(device_compiler --nvcc "${CUFES_NVCC}")
else()
  set(device_compiler --nvrtc "${CUDA_NVRTC}")
endif()
set(cache "")
if(CUFES_IMAGE_CACHE)
  set(cache --cache "${CUFES_IMAGE_CACHE}")
endif()
set(embedded "${CMAKE_CURRENT_BINARY_DIR}/embedded_images.cpp")
set(compile_kernels "${PROJECT_SOURCE_DIR}/scripts/kernels/compile_kernels.py")
add_custom_command(
  OUTPUT "${embedded}"
  COMMAND
    "${Python_EXECUTABLE}" "${compile_kernels}" ${device_compiler}
    --include "${kernels}" --include "${kernels}/include"
    --sass ${CUFES_SASS} --ptx ${CUFES_PTX} ${cache}
    --out "${CMAKE_CURRENT_BINARY_DIR}/images" --embed "${embedded}" ${device_sources}
  DEPENDS "${compile_kernels}" ${device_sources}
          "${kernels}/exp.cuh" "${kernels}/finish.cuh" "${kernels}/points.cuh"
          "${kernels}/separable.cuh" "${kernels}/truncated.cuh"
          "${kernels}/include/cufes.h" "${kernels}/include/FES.cuh" "${kernels}/include/FES_f32.cuh"
  COMMENT "Compiling the CUDA kernels for ${CUFES_SASS}, PTX ${CUFES_PTX}"
  VERBATIM)

# The parts of -ffast-math that the loops need. -ffast-math itself would add start-up code that
# turns denormal numbers off, which changes the arithmetic of the whole process.
set(arithmetic -fno-math-errno -fno-trapping-math)

# The inner loops are compiled once for each instruction set; at run time the library uses the best
# one that the processor has. On aarch64 there is only the baseline, which has NEON.
set(instruction_sets baseline)
if(CMAKE_SYSTEM_PROCESSOR STREQUAL x86_64)
  list(APPEND instruction_sets avx2 avx512)
endif()
set(flags_baseline "")
set(flags_avx2 -mavx2 -mfma)
set(flags_avx512 -mavx512f -mavx512dq -mavx512bw -mavx512vl -mfma -mprefer-vector-width=512)
foreach(isa ${instruction_sets})
  add_library(cpu_${isa} OBJECT "${kernels}/cpu_kernels.cpp")
  target_compile_definitions(cpu_${isa} PRIVATE CUFES_ISA=cpu_kernels_${isa})
  # -O3: GCC before 12 vectorises only at this level.
  target_compile_options(cpu_${isa} PRIVATE -O3 ${arithmetic} ${flags_${isa}})
  list(APPEND cpu_objects $<TARGET_OBJECTS:cpu_${isa}>)
  list(APPEND cufes_targets cpu_${isa})
endforeach()

add_library(cufes SHARED
  "${kernels}/cufes.cpp" "${kernels}/cpu.cpp" "${kernels}/cpu_direct.cpp"
  "${kernels}/cpu_multivariate.cpp" "${kernels}/cpu_tiles.cpp" "${kernels}/cpu_tiling.cpp"
  "${kernels}/cuda.cpp" "${kernels}/cuda_call.cpp" "${kernels}/cuda_device.cpp"
  "${kernels}/cuda_finish.cpp" "${kernels}/cuda_grid.cpp" "${kernels}/cuda_points.cpp"
  "${kernels}/cuda_separable.cpp" "${kernels}/cuda_truncated.cpp" "${kernels}/images.cpp"
  "${embedded}" ${cpu_objects})
list(APPEND cufes_targets cufes)
target_include_directories(cufes SYSTEM PRIVATE "${CUDA_INCLUDE}")
target_compile_definitions(cufes PRIVATE "CUFES_VERSION=\"${SKBUILD_PROJECT_VERSION_FULL}\"")
target_compile_options(cufes PRIVATE ${arithmetic})
# libcudart and libgomp are linked as shared libraries. Linked statically, a second, hidden copy
# would run in a process in which another package uses the same library.
target_link_libraries(cufes PRIVATE "${CUDA_RUNTIME}" OpenMP::OpenMP_CXX)
# Only the C API is visible, so that no C++ symbol of libcufes conflicts with one of another
# library.
target_link_options(cufes PRIVATE "-Wl,--version-script=${kernels}/cufes.map" -Wl,--no-undefined)
set_target_properties(cufes PROPERTIES LINK_DEPENDS "${kernels}/cufes.map")

foreach(target ${cufes_targets})
  target_include_directories(${target} PRIVATE "${kernels}" "${kernels}/include")
  # The library must not contain the path of the build folder, so that two builds give the same
  # bytes.
  target_compile_options(${target} PRIVATE -Wall -Wextra -fvisibility=hidden
                         "-ffile-prefix-map=${PROJECT_SOURCE_DIR}=."
                         "-ffile-prefix-map=${CMAKE_CURRENT_BINARY_DIR}=build")
endforeach()

if(CUFES_BUNDLE_RUNTIME)
  set_target_properties(cufes PROPERTIES INSTALL_RPATH "$ORIGIN/.libs")
endif()
install(TARGETS cufes LIBRARY DESTINATION "${destination}")

if(NOT SKBUILD)
  # Written last, so that an interrupted installation has no fingerprint and is not used. The hash
  # of the library is taken after it was stripped.
  install(CODE "
    set(prefix \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}\")
    file(SHA256 \"\${prefix}/${destination}/libcufes.so\" library)
    file(WRITE \"\${prefix}/${destination}.fingerprint\" \"${fingerprint} \${library}\")")
endif()
