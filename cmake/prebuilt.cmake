# Takes libcufes from an earlier build, but only if that build had the same sources, options,
# compiler and toolkit, and if the library has not changed since.

set(library "${CUFES_PREBUILT}/cufes/libcufes.so")
set(remedy "build and install it again (python scripts prepare-container), or unset CUFES_PREBUILT")
if(NOT EXISTS "${library}" OR NOT EXISTS "${CUFES_PREBUILT}/cufes.fingerprint")
  message(FATAL_ERROR "CUFES_PREBUILT=${CUFES_PREBUILT} holds no cufes/libcufes.so with a "
                      "cufes.fingerprint: ${remedy}")
endif()
file(READ "${CUFES_PREBUILT}/cufes.fingerprint" recorded)
file(SHA256 "${library}" hash)
if(NOT recorded STREQUAL "${fingerprint} ${hash}")
  message(FATAL_ERROR "${library} was not built from these sources with these options, this compiler "
                      "and this CUDA toolkit, or was changed since. Recorded: ${recorded}; expected: "
                      "${fingerprint} ${hash}: ${remedy}")
endif()
message(STATUS "libcufes: ${library} (${fingerprint})")
install(PROGRAMS "${library}" DESTINATION "${destination}")
