// The device code of libcufes in single precision.
#define CUFES_REAL float

#include "FES_f32.cuh"

#include "FES.cu"
