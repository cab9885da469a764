// Blocks of points, one a lane, to which hills are added.
#ifndef CUFES_CPU_BLOCK_HPP
#define CUFES_CPU_BLOCK_HPP

#include <algorithm>
#include <cmath>

#include "cpu.hpp"

namespace cufes {

inline const PointKernels<double> &point_kernels(double) { return cpu_kernels().points_f64; }
inline const PointKernels<float> &point_kernels(float) { return cpu_kernels().points_f32; }

// A block without points or sums, of all hills.
template <typename Real>
PointsBlock<Real> make_block(const Hills<Real> &hills) {
  PointsBlock<Real> block{};
  block.ndim = hills.ndim;
  block.stretched = hills.kernel == CUFES_STRETCHED_GAUSSIAN;
  block.multivariate = hills.multivariate != 0;
  block.sigma_stride = sigma_stride(hills);
  block.centers = hills.centers;
  block.sigmas = hills.sigmas;
  block.heights = hills.heights;
  for (int i = 0; i < hills.ndim; ++i) {
    block.period[i] = static_cast<Real>(hills.periods[i]);
    block.inverse_period[i] = static_cast<Real>(hills.periods[i] > 0 ? 1.0 / hills.periods[i] : 0);
  }
  std::fill(block.largest, block.largest + lanes, -INFINITY);
  return block;
}

// What adds these hills to a block.
template <typename Real>
auto choose_kernel(const Hills<Real> &hills, bool gradient) {
  const PointKernels<Real> &kernels = point_kernels(Real());
  if (hills.kernel == CUFES_LOG_GAUSSIAN) return kernels.logarithms;
  return gradient ? kernels.gradient : kernels.values;
}

}  // namespace cufes

#endif  // CUFES_CPU_BLOCK_HPP
