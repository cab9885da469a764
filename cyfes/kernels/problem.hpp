// A checked sum, the same for both precisions and all devices.
#ifndef CUFES_PROBLEM_HPP
#define CUFES_PROBLEM_HPP

#include <cstdint>

#include "cufes.h"

namespace cufes {

// The public structs of one precision.
template <typename Real>
struct Public;
template <>
struct Public<double> {
  using Hills = cufes_hills;
};
template <>
struct Public<float> {
  using Hills = cufes_hills_f32;
};
template <typename Real>
using Hills = typename Public<Real>::Hills;

template <typename Real>
struct Points {
  std::int64_t count;
  const Real *points;
  Real *values;
};

template <typename Real>
struct Surface {
  const cufes_grid *grid;
  std::int64_t size;  // points of the whole grid
  Real *values;
  Real *gradient;  // may be null
};

// Each throws Failure and leaves nothing allocated behind.
template <typename Real>
void sum_points_cpu(const Hills<Real> &hills, const Points<Real> &points);
template <typename Real>
void sum_grid_cpu(const Hills<Real> &hills, const Surface<Real> &surface);
template <typename Real>
void sum_points_cuda(int device, const Hills<Real> &hills, const Points<Real> &points);
template <typename Real>
void sum_grid_cuda(int device, const Hills<Real> &hills, const Surface<Real> &surface);

void cuda_versions(std::int32_t *runtime, std::int32_t *driver);
std::int32_t cuda_device_count();
void cuda_device_info(int device, cufes_device *info);

}  // namespace cufes

#endif  // CUFES_PROBLEM_HPP
