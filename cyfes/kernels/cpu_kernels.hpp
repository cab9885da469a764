// The inner loops of the CPU back end, compiled once for each instruction set.
#ifndef CUFES_CPU_KERNELS_HPP
#define CUFES_CPU_KERNELS_HPP

#include <cstdint>

#include "cufes.h"

namespace cufes {

// Points are summed in blocks of as many, one a SIMD lane, so that each point adds up its hills in
// their order whatever the width of a vector.
constexpr int lanes = 64;

// A block of points, the hills that are to be added to it, and its sums so far.
template <typename Real>
struct PointsBlock {
  int ndim;
  bool stretched;
  bool multivariate;
  std::int64_t begin, end;  // of the hills
  std::int64_t sigma_stride;
  const Real *centers;
  const Real *sigmas;
  const Real *heights;
  Real period[CUFES_MAX_DIM];
  Real inverse_period[CUFES_MAX_DIM];
  Real x[CUFES_MAX_DIM][lanes];
  double total[lanes];  // of CUFES_LOG_GAUSSIAN in units of exp(largest)
  double gradient[CUFES_MAX_DIM][lanes];
  Real largest[lanes];
};

// One hill along one axis, at `count` successive grid points from `offset` = x - center on; each
// difference is taken to its minimum image.
struct AxisTask {
  std::int64_t count;
  double offset;
  double spacing;
  double sigma;
  double period;        // 0 for an axis that is not periodic
  double *half_square;  // d = 1/2 (x - center)^2 / sigma^2
  double *factor;       // exp(-d)
  double *slope;        // -(x - center) / sigma^2, the derivative of -d
};

// One hill on a run of grid points along the last axis. What the leading axes contribute is
// constant there: their part of d, of the height, and of the gradient.
struct RowTask {
  int ndim;
  bool stretched;
  std::int64_t count;
  double half_square;
  double scaled_height;  // height exp(-half_square)
  double height;
  const double *row_half_square;
  const double *row_factor;
  const double *row_slope;
  const double *slopes;  // ndim - 1
  double *values;
  double *gradient;  // null, or the first plane of ndim
  std::int64_t plane;
};

// What adds hills to a block of points in one precision.
template <typename Real>
struct PointKernels {
  void (*values)(PointsBlock<Real> &block);
  void (*gradient)(PointsBlock<Real> &block);  // and the values
  void (*logarithms)(PointsBlock<Real> &block);
};

struct CpuKernels {
  PointKernels<double> points_f64;
  PointKernels<float> points_f32;
  void (*axis)(const AxisTask &task);
  void (*row)(const RowTask &task);
};

extern const CpuKernels cpu_kernels_baseline;
extern const CpuKernels cpu_kernels_avx2;
extern const CpuKernels cpu_kernels_avx512;

}  // namespace cufes

#endif  // CUFES_CPU_KERNELS_HPP
