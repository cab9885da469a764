// The device code of libcufes in single precision.
#define CUFES_REAL float

#include "FES.cu"
