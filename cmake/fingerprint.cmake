# Computes the fingerprint of libcufes: a hash of its sources, the options, the compiler and the
# toolkit. Sets three variables: fingerprint; kernels, the folder of the sources; and destination,
# the folder of the library within an installation.

set(kernels "${PROJECT_SOURCE_DIR}/cyfes/kernels")
# The package has no folder of this name: `pip install --target` drops a folder that is in both
# platlib and data.
if(SKBUILD)
  set(destination "${SKBUILD_DATA_DIR}/cufes")
else()
  set(destination cufes)
endif()

file(GLOB_RECURSE inputs CONFIGURE_DEPENDS "${kernels}/*" "${PROJECT_SOURCE_DIR}/cmake/*.cmake")
list(APPEND inputs "${PROJECT_SOURCE_DIR}/CMakeLists.txt"
                   "${PROJECT_SOURCE_DIR}/scripts/kernels/compile_kernels.py")
# CMake configures again when one of these files changes; otherwise the fingerprint would be out of
# date.
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${inputs})

set(state "")
foreach(file ${inputs} "${CUDA_RUNTIME}" ${CUDA_NVRTC})
  file(SHA256 "${file}" hash)
  string(APPEND state "${hash}\n")
endforeach()
foreach(option SKBUILD_PROJECT_VERSION_FULL CUFES_SASS CUFES_PTX CUFES_NVCC CUFES_BUNDLE_RUNTIME
               CMAKE_BUILD_TYPE CMAKE_SYSTEM_PROCESSOR CMAKE_CXX_COMPILER CMAKE_CXX_COMPILER_ID CMAKE_CXX_COMPILER_VERSION
               CMAKE_CXX_FLAGS CMAKE_CXX_FLAGS_RELEASE CMAKE_SHARED_LINKER_FLAGS)
  string(APPEND state "${option}=${${option}}\n")
endforeach()
string(SHA256 fingerprint "${state}")
