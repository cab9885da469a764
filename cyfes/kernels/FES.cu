// The device code of libcufes in double precision; FES_f32.cu compiles it in single.
//
// Only __global__ functions with C names: NVRTC compiles this file, the host finds them by name.
#ifndef CUFES_REAL
#define CUFES_REAL double
#define CUFES_IN_DOUBLE 1
#endif

#include "FES.cuh"
#include "finish.cuh"
#include "points.cuh"
#include "separable.cuh"
#include "truncated.cuh"

using real = CUFES_REAL;

#define CUFES_KERNEL(name, Args, call)                                                          \
  extern "C" __global__ void __launch_bounds__(cufes::block_size) name(const Args<real> args) { \
    call(args);                                                                                 \
  }

// Two and three collective variables are compiled for their dimension, `n` serves the others.
CUFES_KERNEL(cufes_points_2, cufes::PointsArgs, (cufes::sum_points<real, 2>))
CUFES_KERNEL(cufes_points_3, cufes::PointsArgs, (cufes::sum_points<real, 3>))
CUFES_KERNEL(cufes_points_n, cufes::PointsArgs, (cufes::sum_points<real, 0>))
CUFES_KERNEL(cufes_log_points_2, cufes::PointsArgs, (cufes::log_sum_points<real, 2>))
CUFES_KERNEL(cufes_log_points_3, cufes::PointsArgs, (cufes::log_sum_points<real, 3>))
CUFES_KERNEL(cufes_log_points_n, cufes::PointsArgs, (cufes::log_sum_points<real, 0>))
CUFES_KERNEL(cufes_grid_hills, cufes::GridArgs, (cufes::sum_grid<real, 0, true>))

// The name says how the widths are, unless hills are stretched; only `any` knows periodic axes.
#define CUFES_FAST_POINTS(D)                                                      \
  CUFES_KERNEL(cufes_fast_points_any_##D, cufes::FastPointsArgs,                  \
               (cufes::sum_points_fast<real, D, cufes::any_widths, true, false>)) \
  CUFES_KERNEL(cufes_fast_points_stretched_##D, cufes::FastPointsArgs,            \
               (cufes::sum_points_fast<real, D, cufes::any_widths, true, true>))
#define CUFES_FAST_POINTS_SHARED(D)                                                  \
  CUFES_KERNEL(cufes_fast_points_equal_##D, cufes::FastPointsArgs,                   \
               (cufes::sum_points_fast<real, D, cufes::equal_widths, false, false>)) \
  CUFES_KERNEL(cufes_fast_points_shared_##D, cufes::FastPointsArgs,                  \
               (cufes::sum_points_fast<real, D, cufes::shared_widths, false, false>))

CUFES_FAST_POINTS_SHARED(2)
CUFES_FAST_POINTS_SHARED(3)
CUFES_FAST_POINTS(1)
CUFES_FAST_POINTS(2)
CUFES_FAST_POINTS(3)

// The name says how many columns a block makes; the long one has stages of 8 octets, not of 4.
// In single precision two blocks fit a multiprocessor.
#define CUFES_PRODUCT(columns, ...)                                                          \
  extern "C" __global__ void __launch_bounds__(cufes::block_size, sizeof(real) == 8 ? 1 : 2) \
      cufes_product_##columns(const cufes::ProductArgs<real> args) {                         \
    cufes::multiply_factors<real, __VA_ARGS__>(args);                                        \
  }

// On tensor cores, a warp makes 16 rows of all columns: each warp has as much to do. Elsewhere it
// makes 32 rows of one half, which needs fewer loads.
#if __CUDA_ARCH__ >= 800
constexpr bool by_tensor_cores = sizeof(real) == 8;
#else
constexpr bool by_tensor_cores = false;
#endif
constexpr int tall = by_tensor_cores ? 1 : 2, wide = by_tensor_cores ? 13 : 7;
CUFES_PRODUCT(104, tall, wide, tall, 13, 4)
// Others have too little shared memory for long stages, and single precision gains nothing.
#if CUFES_IN_DOUBLE && __CUDA_ARCH__ >= 900 && __CUDA_ARCH__ < 1200
CUFES_PRODUCT(104_long, tall, wide, tall, 13, 8)
#endif
CUFES_PRODUCT(56, 2, 7, 1, 7, 4)
CUFES_KERNEL(cufes_factors, cufes::FactorArgs, cufes::make_factors)
CUFES_KERNEL(cufes_largest, cufes::LargestArgs, cufes::find_largest)

#define CUFES_TILE_KERNEL(name, blocks, call)                                       \
  extern "C" __global__ void __launch_bounds__(32 * cufes::tiles_per_block, blocks) \
      name(const cufes::TileArgs<real> args) {                                      \
    call(args);                                                                     \
  }
CUFES_TILE_KERNEL(cufes_tiles_2, 5, (cufes::sum_tile<real, 2, false>))
CUFES_TILE_KERNEL(cufes_tiles_3, 5, (cufes::sum_tile<real, 3, false>))
CUFES_TILE_KERNEL(cufes_tiles_n, 5, (cufes::sum_tile<real, 0, false>))
CUFES_TILE_KERNEL(cufes_tiles_gradient_2, 4, (cufes::sum_tile<real, 2, true>))
CUFES_TILE_KERNEL(cufes_tiles_gradient_3, 4, (cufes::sum_tile<real, 3, true>))
CUFES_KERNEL(cufes_prepare, cufes::TileArgs, cufes::prepare_hills)

CUFES_KERNEL(cufes_finish, cufes::FinishArgs, cufes::finish)
CUFES_KERNEL(cufes_gather, cufes::GatherArgs, cufes::gather)
CUFES_KERNEL(cufes_scatter, cufes::ScatterArgs, cufes::scatter)

CUFES_KERNEL(cufes_reduce, cufes::ReduceArgs, cufes::reduce_chunks)
CUFES_KERNEL(cufes_log_reduce, cufes::ReduceArgs, cufes::log_reduce_chunks)
