// A checked sum, the same for both precisions and all devices.
#ifndef CUFES_PROBLEM_HPP
#define CUFES_PROBLEM_HPP

#include <cmath>
#include <cstdint>

#include "cufes.h"
#include "run.hpp"

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

// How many numbers describe the widths of a hill.
template <typename Hills>
int sigma_columns(const Hills &hills) {
  return hills.multivariate ? hills.ndim * (hills.ndim + 1) / 2 : hills.ndim;
}

// From one hill's widths to the next one's.
template <typename Hills>
std::int64_t sigma_stride(const Hills &hills) {
  return hills.sigma_rows == 1 ? 0 : sigma_columns(hills);
}

// The standard deviation along each axis of a hill with these widths. Of a multivariate one it is
// the root of the diagonal of the covariance matrix, inverse(L)^T inverse(L).
template <typename Hills, typename Real>
void standard_deviations(const Hills &hills, const Real *sigma, double *deviations) {
  const int ndim = hills.ndim;
  if (!hills.multivariate) {
    for (int i = 0; i < ndim; ++i) deviations[i] = sigma[i];
    return;
  }
  for (int i = 0; i < ndim; ++i) {
    double column[CUFES_MAX_DIM] = {}, sum = 0;  // column i of inverse(L), from its diagonal down
    for (int k = i; k < ndim; ++k) {
      const Real *row = sigma + k * (k + 1) / 2;
      double rest = k == i;
      for (int j = i; j < k; ++j) rest -= row[j] * column[j];
      column[k] = rest / row[k];
      sum += column[k] * column[k];
    }
    deviations[i] = std::sqrt(sum);
  }
}

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

// Each says in `run` which path it took, throws Failure, and leaves nothing allocated behind.
template <typename Real>
void sum_points_cpu(const Hills<Real> &hills, const Points<Real> &points, Run &run);
template <typename Real>
void sum_grid_cpu(const Hills<Real> &hills, const Surface<Real> &surface, Run &run);
template <typename Real>
void sum_points_cuda(int device, const Hills<Real> &hills, const Points<Real> &points, Run &run);
template <typename Real>
void sum_grid_cuda(int device, const Hills<Real> &hills, const Surface<Real> &surface, Run &run);

void cuda_versions(std::int32_t *runtime, std::int32_t *driver);
std::int32_t cuda_device_count();
void cuda_device_info(int device, cufes_device *info);

}  // namespace cufes

#endif  // CUFES_PROBLEM_HPP
