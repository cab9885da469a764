# Builds the Cython extensions. They include cufes.h but are not linked to libcufes: they load it at
# run time, because the folder of the data scheme is known only after the installation.

# FindPython's error message does not say what to install, so this check comes first.
execute_process(
  COMMAND "${Python_EXECUTABLE}" -c "import sysconfig; print(sysconfig.get_path('include'))"
  OUTPUT_VARIABLE python_include OUTPUT_STRIP_TRAILING_WHITESPACE)
if(NOT EXISTS "${python_include}/Python.h")
  message(FATAL_ERROR "No ${python_include}/Python.h: install the headers of ${Python_EXECUTABLE} "
                      "(Debian and Ubuntu: apt install python3-dev; Fedora: dnf install python3-devel)")
endif()
# Development.Module, without Python's library: extensions do not need the library, and manylinux
# images do not have it.
find_package(Python REQUIRED COMPONENTS Interpreter Development.Module)
# A cross build names its suffix of extension modules in SETUPTOOLS_EXT_SUFFIX, which
# scikit-build-core reads; FindPython would ask the interpreter, which is that of this machine.
set(Python_SOABI "${SKBUILD_SOABI}")

# A free-threaded CPython would turn its global interpreter lock on again when it imports a module
# that does not declare that it needs none. These declare it: they have no state that threads share,
# except what they guard themselves. Only such an interpreter is asked for, because Cython 3.0, which
# the oldest CPython needs, does not know the directive.
execute_process(
  COMMAND "${Python_EXECUTABLE}" -c
          "import sysconfig; print(int(bool(sysconfig.get_config_var('Py_GIL_DISABLED'))))"
  OUTPUT_VARIABLE free_threaded OUTPUT_STRIP_TRAILING_WHITESPACE)
set(directives "")
if(free_threaded)
  set(directives --directive freethreading_compatible=True)
endif()

# The working directory makes the paths that Cython writes into its output relative.
function(add_extension name generated)
  set(options --fast-fail)
  if(generated MATCHES "\\.cpp$")
    list(APPEND options --cplus)
  endif()
  add_custom_command(
    OUTPUT "${generated}"
    COMMAND "${Python_EXECUTABLE}" -m cython -3 ${options} ${directives} "cyfes/native/${name}.pyx" -o "${generated}"
    DEPENDS "${PROJECT_SOURCE_DIR}/cyfes/native/${name}.pyx" ${ARGN}
    WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}"
    COMMENT "Cythonizing ${name}.pyx"
    VERBATIM)
  # Optimised for size: these modules only check arguments and call libcufes, and the wheel contains
  # one for each precision.
  set_source_files_properties("${generated}" PROPERTIES COMPILE_OPTIONS -Os)
  Python_add_library(${name} MODULE "${generated}" WITH_SOABI)
  target_compile_options(${name} PRIVATE
                         "-ffile-prefix-map=${PROJECT_SOURCE_DIR}=."
                         "-ffile-prefix-map=${CMAKE_CURRENT_BINARY_DIR}=build")
  install(TARGETS ${name} LIBRARY DESTINATION cyfes/native)
endfunction()

foreach(name wrapper wrapper_f32)
  add_extension(${name} "${CMAKE_CURRENT_BINARY_DIR}/${name}.c"
                "${PROJECT_SOURCE_DIR}/cyfes/native/wrapper_body.pxi"
                "${PROJECT_SOURCE_DIR}/cyfes/native/cufes.pxd")
  target_include_directories(${name} PRIVATE "${PROJECT_SOURCE_DIR}/cyfes/kernels/include")
  target_link_libraries(${name} PRIVATE ${CMAKE_DL_LIBS})
endforeach()

# The extension that reads and writes text. It uses threads of the C++ library, because with OpenMP
# it would need libgomp as a grafted library.
set(text "${PROJECT_SOURCE_DIR}/cyfes/text")
find_package(Threads REQUIRED)
add_extension(_text "${CMAKE_CURRENT_BINARY_DIR}/_text.cpp")
target_sources(_text PRIVATE "${text}/parse.cpp" "${text}/format.cpp")
target_include_directories(_text PRIVATE "${text}")
# -O3: GCC before 12 vectorises only at this level, and the loop that counts lines must be
# vectorised.
target_compile_options(_text PRIVATE -O3 -Wall -Wextra)
# Not for the generated file: CPython 3.7 and 3.8 do not mark the init function of the module as
# visible.
set_source_files_properties("${text}/parse.cpp" "${text}/format.cpp"
                            PROPERTIES COMPILE_OPTIONS -fvisibility=hidden)
target_link_libraries(_text PRIVATE Threads::Threads)
