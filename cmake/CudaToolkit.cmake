# Finds the CUDA toolkit: CUDA_HOME if it is set, else scripts/kernels/install_cuda.py installs one
# from PyPI. Sets CUDA_HOME, CUDA_INCLUDE, CUDA_RUNTIME and CUDA_NVRTC.

if(NOT CUDA_HOME AND DEFINED ENV{CUDA_HOME})
  set(CUDA_HOME "$ENV{CUDA_HOME}")
endif()

if(NOT CUDA_HOME)
  set(CUDA_HOME "${CMAKE_BINARY_DIR}/cuda")
  message(STATUS "CUDA_HOME is not set: installing the CUDA toolkit from PyPI")
  execute_process(
    COMMAND "${Python_EXECUTABLE}" "${PROJECT_SOURCE_DIR}/scripts/kernels/install_cuda.py" "${CUDA_HOME}"
    RESULT_VARIABLE status)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "No CUDA toolkit: run `python scripts/kernels/install_cuda.py DIR` where there is a "
                        "network, then set CUDA_HOME=DIR")
  endif()
endif()

# The toolkits of NVIDIA's installer, of conda and of PyPI's wheels have different folder names.
# NVIDIA calls servers and workstations of the architecture aarch64 "sbsa".
if(CMAKE_SYSTEM_PROCESSOR STREQUAL aarch64)
  set(target targets/sbsa-linux)
else()
  set(target targets/x86_64-linux)
endif()
set(suffixes lib64 lib ${target}/lib)
find_path(CUDA_INCLUDE cuda_runtime_api.h PATHS "${CUDA_HOME}/include"
          "${CUDA_HOME}/${target}/include" NO_DEFAULT_PATH)
find_library(CUDA_RUNTIME cudart PATHS "${CUDA_HOME}" PATH_SUFFIXES ${suffixes} NO_DEFAULT_PATH)
find_library(CUDA_NVRTC nvrtc PATHS "${CUDA_HOME}" PATH_SUFFIXES ${suffixes} NO_DEFAULT_PATH)
if(NOT CUDA_INCLUDE OR NOT CUDA_RUNTIME OR NOT (CUDA_NVRTC OR CUFES_NVCC))
  message(FATAL_ERROR "CUDA_HOME=${CUDA_HOME} is not a complete CUDA toolkit: expected "
                      "include/cuda_runtime_api.h, lib64/libcudart.so and lib64/libnvrtc.so; unset "
                      "CUDA_HOME to install one from PyPI")
endif()
message(STATUS "CUDA toolkit: ${CUDA_HOME}")
