// The last step of every path: partial sums, in double precision, become values.
//
// A logarithmic sum is first made in units of the largest weight. Where all hills are so far that
// it underflows, the point is put on a list of faint ones, which are summed again with logarithms.
#ifndef CUFES_FINISH_CUH
#define CUFES_FINISH_CUH

#include "separable.cuh"

namespace cufes {

template <typename Real>
struct FinishArgs {
  const double *sums;  // parts x stride, of which the first `count` are used
  long long stride;
  long long count;
  int parts;
  int logarithmic;
  const unsigned long long *largest;
  double faintest;  // a sum below is not exact
  unsigned *faint;  // the places of the faint points, in any order
  unsigned *faint_count;
  Real *values;
};

// The coordinates of points on a list, or of successive ones where that is null; from `points` or,
// where that is null, from the grid.
template <typename Real>
struct GatherArgs {
  const unsigned *list;
  long long from;    // the first on the list
  long long offset;  // the number of the point that the list calls 0
  long long count;
  int ndim;
  const Real *points;
  double lower[CUFES_MAX_DIM];
  double spacing[CUFES_MAX_DIM];
  int extent[CUFES_MAX_DIM];
  Real *gathered;  // count x ndim
};

template <typename Real>
struct ScatterArgs {
  const unsigned *list;
  long long from;
  long long count;
  const Real *summed;
  Real *values;
};

#ifdef __CUDACC__

template <typename Real>
__device__ inline void finish(const FinishArgs<Real> &args) {
  const long long m = blockIdx.x * static_cast<long long>(block_size) + threadIdx.x;
  if (m >= args.count) return;
  double total = 0;
#pragma unroll 4
  for (int part = 0; part < args.parts; ++part) total += args.sums[part * args.stride + m];
  if (args.logarithmic) {
    // Also where it is no number: the list is summed by the code that says so.
    if (!(total >= args.faintest)) args.faint[atomicAdd(args.faint_count, 1u)] = m;
    total = from_ordered(*args.largest) + log(total);
  }
  args.values[m] = static_cast<Real>(total);
}

template <typename Real>
__device__ inline void gather(const GatherArgs<Real> &args) {
  const long long k = blockIdx.x * static_cast<long long>(block_size) + threadIdx.x;
  if (k >= args.count) return;
  long long m = args.offset + (args.list ? args.list[args.from + k] : args.from + k);
  Real *to = args.gathered + k * args.ndim;
#pragma unroll 1
  for (int i = args.ndim - 1; i >= 0; --i) {
    if (args.points) {
      to[i] = args.points[m * args.ndim + i];
    } else {
      to[i] = static_cast<Real>(args.lower[i] + (m % args.extent[i]) * args.spacing[i]);
      m /= args.extent[i];
    }
  }
}

template <typename Real>
__device__ inline void scatter(const ScatterArgs<Real> &args) {
  const long long k = blockIdx.x * static_cast<long long>(block_size) + threadIdx.x;
  if (k < args.count) args.values[args.list[args.from + k]] = args.summed[k];
}

#endif  // __CUDACC__

}  // namespace cufes

#endif  // CUFES_FINISH_CUH
