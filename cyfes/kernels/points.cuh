// Sums at arbitrary points at the rate of the hardware: each block takes batches of hills through
// shared memory past points that stay in registers, several a thread.
//
// What bounds the rate is the exponential, see exp.cuh, and in single precision the issue of
// instructions as well.
#ifndef CUFES_POINTS_CUH
#define CUFES_POINTS_CUH

#include "exp.cuh"
#include "finish.cuh"

namespace cufes {

// How the widths enter.
enum Widths {
  equal_widths,   // one for all axes and hills: the square of the distance is scaled once
  shared_widths,  // one an axis: all squares but the first are scaled to that
  any_widths
};

template <typename Real>
struct FastPointsArgs {
  HillsArgs<Real> hills;
  const Real *points;
  long long first;                 // point
  long long count;                 // of all points
  long long first_hill, end_hill;  // of a launch
  long long hills_per_chunk;
  int logarithmic;  // whether the heights are logarithms, in units of *largest
  const unsigned long long *largest;
  double scale[CUFES_MAX_DIM];  // of coordinates, in single precision
  double ratio[CUFES_MAX_DIM];  // of a square along an axis, if widths are shared
  double rate;                  // the exponent is -rate times the square: see exp.cuh
  double *sums;                 // chunks x count; what is there is added to
};

constexpr int points_unroll = 4;

template <typename Real>
constexpr int points_per_thread = sizeof(Real) == 8 ? 2 : 4;

#ifdef __CUDACC__

// A hill in shared memory: its centre, its weights along the axes unless all are equal, its height;
// an even number of elements, for 16-byte loads.
template <typename Real, int D, Widths W>
struct Record {
  static constexpr int used = D + (W == any_widths ? D : 0) + 1;
  static constexpr int size = (used + 3) / 4 * 4;
  Real numbers[size];
  __device__ Real center(int i) const { return numbers[i]; }
  __device__ Real width(int i) const { return numbers[D + i]; }
  __device__ Real height() const { return numbers[used - 1]; }
};

// In single precision coordinates are scaled in double before they are rounded: no more is lost
// than the rounding of the coordinate itself.
template <typename Real>
__device__ inline Real coordinate(const FastPointsArgs<Real> &args, Real x, int i) {
  return sizeof(Real) == 4 ? static_cast<Real>(x * args.scale[i]) : x;
}

// A record without a hill, at the end of the last batch, has no height.
template <typename Real, int D, Widths W>
__device__ inline void load_record(const FastPointsArgs<Real> &args, long long n, bool there,
                                   Record<Real, D, W> &to) {
  Real height = 0;
  if (there) height = weight(args.hills.heights[n], args.logarithmic != 0, args.largest);
#pragma unroll
  for (int i = 0; i < D; ++i) {
    const Real center = there ? args.hills.centers[n * D + i] : Real(0);
    // The integer minimum of the exponent would hide what is not a number.
    height += center - center;
    to.numbers[i] = coordinate(args, center, i);
    if constexpr (W == any_widths) {
      const Real inverse =
          there ? reciprocal(args.hills.sigmas[n * args.hills.sigma_stride + i]) : Real(0);
      to.numbers[D + i] = Real(sizeof(Real) == 4 ? half_log2_e : 1.0) * inverse * inverse;
    }
  }
  to.numbers[Record<Real, D, W>::used - 1] = height;
}

template <typename Real, int D, Widths W, bool PERIODIC>
__device__ inline Real weighted_square(const FastPointsArgs<Real> &args,
                                       const Record<Real, D, W> &hill, const Real *x) {
  Real q = 0;
#pragma unroll
  for (int i = 0; i < D; ++i) {
    Real difference = x[i] - hill.center(i);
    if constexpr (PERIODIC)
      difference = nearest_image(difference, args.hills.period[i], args.hills.inverse_period[i]);
    const Real scaled = W == any_widths               ? difference * hill.width(i)
                        : W == shared_widths && i > 0 ? difference * Real(args.ratio[i])
                                                      : difference;
    q = i == 0 ? scaled * difference : fma(scaled, difference, q);
  }
  return q;
}

// Adds a hill to the sums of the points of a thread.
template <bool STRETCHED, bool PERIODIC, typename Real, int D, Widths W, int P>
__device__ inline void add_record(const FastPointsArgs<Real> &args, const Record<Real, D, W> &from,
                                  const Real (&x)[P][D], const Exp<Real, 16> &exponential_of,
                                  Real (&sum)[P]) {
  const Record<Real, D, W> hill = from;
#pragma unroll
  for (int p = 0; p < P; ++p) {
    const Real q = weighted_square<Real, D, W, PERIODIC>(args, hill, x[p]);
    if constexpr (STRETCHED) {
      constexpr Real limit = Real(2 * stretch_cutoff * (sizeof(Real) == 4 ? half_log2_e : 1.0));
      if (!(q < limit)) continue;
      sum[p] += hill.height() * fma(Real(stretch_a), exponential_of(q), Real(stretch_b));
    } else {
      sum[p] = fma(hill.height(), exponential_of(q), sum[p]);
    }
  }
}

template <typename Real, int D, Widths W, bool PERIODIC, bool STRETCHED>
__device__ inline void sum_points_fast(const FastPointsArgs<Real> &args) {
  constexpr int P = points_per_thread<Real>;
  // The other kernels are less often used, and long enough.
  constexpr int unroll = W == any_widths ? 1 : points_unroll;
  __shared__ __align__(16) Record<Real, D, W> loaded[block_size];
  __shared__ Real table[Exp<Real, 16>::size];
  const long long begin = args.first_hill + blockIdx.y * args.hills_per_chunk;
  const long long end = min(begin + args.hills_per_chunk, args.end_hill);
  const long long first =
      args.first + blockIdx.x * static_cast<long long>(block_size * P) + threadIdx.x;
  Real x[P][D];
  double total[P] = {};
#pragma unroll
  for (int p = 0; p < P; ++p)
#pragma unroll
    for (int i = 0; i < D; ++i) {
      const long long m = min(first + p * block_size, args.count - 1);
      x[p][i] = coordinate(args, args.points[m * D + i], i);
      total[p] += x[p][i] - x[p][i];
    }
  Exp<Real, 16>::fill(table);
  __syncthreads();
  const Exp<Real, 16> exponential_of(table, args.rate);
  for (long long at = begin; at < end; at += block_size) {
    const int filled = static_cast<int>(min(static_cast<long long>(block_size), end - at));
    load_record(args, at + threadIdx.x, threadIdx.x < filled, loaded[threadIdx.x]);
    __syncthreads();
    Real sum[P] = {};
    // The last few are of no height.
#pragma unroll 1
    for (int slot = 0; slot < filled; slot += unroll)
#pragma unroll
      for (int k = 0; k < unroll; ++k)
        add_record<STRETCHED, PERIODIC>(args, loaded[slot + k], x, exponential_of, sum);
#pragma unroll
    for (int p = 0; p < P; ++p) total[p] += sum[p];
    __syncthreads();
  }
#pragma unroll
  for (int p = 0; p < P; ++p) {
    const long long m = first + p * block_size;
    if (m < args.count) args.sums[blockIdx.y * args.count + m] += total[p];
  }
}

#endif  // __CUDACC__

}  // namespace cufes

#endif  // CUFES_POINTS_CUH
