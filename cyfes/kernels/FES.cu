// The device code of libcufes in double precision; FES_f32.cu compiles it in single.
//
// Only __global__ functions with C names: NVRTC compiles this file, the host finds them by name.
#ifndef CUFES_REAL
#define CUFES_REAL double
#endif

#include "FES.cuh"

using real = CUFES_REAL;

// Up to three collective variables are compiled for their dimension, `n` serves the others.
#define CUFES_KERNELS(suffix, D)                                       \
  extern "C" __global__ void __launch_bounds__(cufes::block_size)      \
      cufes_points_##suffix(const cufes::PointsArgs<real> args) {      \
    cufes::sum_points<real, D>(args);                                  \
  }                                                                    \
  extern "C" __global__ void __launch_bounds__(cufes::block_size)      \
      cufes_log_points_##suffix(const cufes::PointsArgs<real> args) {  \
    cufes::log_sum_points<real, D>(args);                              \
  }                                                                    \
  extern "C" __global__ void __launch_bounds__(cufes::block_size)      \
      cufes_grid_##suffix(const cufes::GridArgs<real> args) {          \
    cufes::sum_grid<real, D, false>(args);                             \
  }                                                                    \
  extern "C" __global__ void __launch_bounds__(cufes::block_size)      \
      cufes_grid_gradient_##suffix(const cufes::GridArgs<real> args) { \
    cufes::sum_grid<real, D, true>(args);                              \
  }

CUFES_KERNELS(1, 1)
CUFES_KERNELS(2, 2)
CUFES_KERNELS(3, 3)
CUFES_KERNELS(n, 0)

extern "C" __global__ void __launch_bounds__(cufes::block_size)
    cufes_reduce(const cufes::ReduceArgs<real> args) {
  cufes::reduce_chunks(args);
}

extern "C" __global__ void __launch_bounds__(cufes::block_size)
    cufes_log_reduce(const cufes::ReduceArgs<real> args) {
  cufes::log_reduce_chunks(args);
}
