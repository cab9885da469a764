# The Cython extensions. They include cufes.h but do not link libcufes: they load it at run time, so
# that no NEEDED entry ties the package to a place in the data scheme.

# FindPython's own message does not say what to install.
execute_process(
  COMMAND "${Python_EXECUTABLE}" -c "import sysconfig; print(sysconfig.get_path('include'))"
  OUTPUT_VARIABLE python_include OUTPUT_STRIP_TRAILING_WHITESPACE)
if(NOT EXISTS "${python_include}/Python.h")
  message(FATAL_ERROR "No ${python_include}/Python.h: install the headers of ${Python_EXECUTABLE} "
                      "(Debian and Ubuntu: apt install python3-dev; Fedora: dnf install python3-devel)")
endif()
# Module is all of the Python library that an extension needs, and all that manylinux images have.
find_package(Python REQUIRED COMPONENTS Interpreter Development.Module)

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
