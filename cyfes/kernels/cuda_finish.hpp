// From partial sums to values, for every path; see finish.cuh.
#ifndef CUFES_CUDA_FINISH_HPP
#define CUFES_CUDA_FINISH_HPP

#include "cuda_call.hpp"
#include "finish.cuh"

namespace cufes {

// Where the coordinates of a point come from, to sum it again: an array, or else a grid.
template <typename Real>
struct Origin {
  const Real *points = nullptr;
  const cufes_grid *grid = nullptr;
};

// The state of a logarithmic sum: the largest weight, and the points that are too faint for sums in
// its unit. Nothing for other kernels.
template <typename Real>
class Logarithm {
 public:
  // For up to `most` points at a time.
  Logarithm(Call<Real> &call, std::int64_t most);

  bool active() const { return active_; }
  const unsigned long long *largest() const { return state_.template as<unsigned long long>(); }

  // Sums up `parts` partial sums of `count` values, `stride` apart. The places of faint points are
  // relative to `first`, the number of the first one in `origin`.
  void finish(const double *sums, std::int64_t stride, std::int64_t count, int parts,
              const Origin<Real> &origin, std::int64_t first, Real *values);

 private:
  unsigned *faint_count() const {
    return reinterpret_cast<unsigned *>(state_.template as<unsigned long long>() + 1);
  }
  void sum_faint(std::int64_t count, const Origin<Real> &origin, std::int64_t first, Real *values);

  Call<Real> &call_;
  bool active_;
  Memory state_;  // the largest weight, then the number of faint points
  Memory faint_;
};

// The coordinates of `count` points, of a list or from `first` on.
template <typename Real>
Memory gather_points(Call<Real> &call, const Origin<Real> &origin, const unsigned *list,
                     std::int64_t first, std::int64_t count);

// The general kernels for points: the sum, and that of chunks of hills.
struct SliceKernels {
  const char *sum;
  const char *reduce;
};

// Sums at points on the device, so many at a time. `parts`: how far a point gets the call.
template <typename Real>
void sum_slices(Call<Real> &call, const SliceKernels &kernels, const Real *points,
                std::int64_t count, Real *values, double parts);

}  // namespace cufes

#endif  // CUFES_CUDA_FINISH_HPP
