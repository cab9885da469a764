#include "cuda_finish.hpp"

#include <algorithm>

#include "separable.cuh"

namespace cufes {
namespace {

// Below, terms that underflowed could count: the smallest normal number, and 10^20 hills.
template <typename Real>
double faintest();
template <>
double faintest<double>() {
  return 1e-280;
}
template <>
double faintest<float>() {
  return 1e-30;
}

// Points whose coordinates are gathered at a time.
constexpr std::int64_t most_gathered = 1 << 20;

// Hills of a chunk at most: a launch must end soon.
constexpr std::int64_t hills_per_chunk = 1 << 16;
// Partial sums in memory at a time.
constexpr std::int64_t most_partial = 1 << 24;

// Into how many chunks the hills are split so that `blocks` blocks of points fill the device.
int count_chunks(const Model &model, std::int64_t blocks, std::int64_t hills) {
  const std::int64_t wanted = 8LL * model.multiprocessors;
  const std::int64_t most = std::min<std::int64_t>(divide_up(hills, block_size), 65535);
  return static_cast<int>(std::max(
      {std::int64_t{1}, std::min(wanted / blocks, most), divide_up(hills, hills_per_chunk)}));
}

}  // namespace

template <typename Real>
Logarithm<Real>::Logarithm(Call<Real> &call, std::int64_t most)
    : call_(call),
      active_(call.given().kernel == CUFES_LOG_GAUSSIAN),
      state_(call.allocate(active_ ? 2 : 0, sizeof(unsigned long long))),
      faint_(call.allocate(active_ ? most : 0, sizeof(unsigned))) {
  if (!active_) return;
  check(
      cudaMemsetAsync(state_.template as<void>(), 0, 2 * sizeof(unsigned long long), call.stream()),
      "clear memory");
  LargestArgs<Real> args{call.hills(), state_.template as<unsigned long long>()};
  const std::int64_t blocks = divide_up(call.hills().count, block_size);
  call.launch("cufes_largest", dim3(std::min<std::int64_t>(blocks, call.model().multiprocessors)),
              args);
}

template <typename Real>
void Logarithm<Real>::finish(const double *sums, std::int64_t stride, std::int64_t count, int parts,
                             const Origin<Real> &origin, std::int64_t first, Real *values) {
  FinishArgs<Real> args{};
  args.sums = sums;
  args.stride = stride;
  args.count = count;
  args.parts = parts;
  args.logarithmic = active_;
  args.values = values;
  if (active_) {
    args.largest = largest();
    args.faintest = faintest<Real>();
    args.faint = faint_.template as<unsigned>();
    args.faint_count = faint_count();
  }
  call_.launch("cufes_finish", dim3(divide_up(count, block_size)), args);
  if (!active_) return;
  unsigned faint = 0;
  check(
      cudaMemcpyAsync(&faint, faint_count(), sizeof faint, cudaMemcpyDeviceToHost, call_.stream()),
      "copy from the device");
  call_.progress().finish();
  if (faint) sum_faint(faint, origin, first, values);
}

template <typename Real>
void Logarithm<Real>::sum_faint(std::int64_t count, const Origin<Real> &origin, std::int64_t first,
                                Real *values) {
  const unsigned *list = faint_.template as<unsigned>();
  for (std::int64_t from = 0; from < count; from += most_gathered) {
    const std::int64_t part = std::min(most_gathered, count - from);
    const Memory points = gather_points(call_, origin, list + from, first, part);
    const Memory summed = call_.allocate(part, sizeof(Real));
    sum_slices(call_, {"cufes_log_points_", "cufes_log_reduce"}, points.template as<Real>(), part,
               summed.template as<Real>(), 0);
    ScatterArgs<Real> args{list, from, part, summed.template as<Real>(), values};
    call_.launch("cufes_scatter", dim3(divide_up(part, block_size)), args);
  }
  check(cudaMemsetAsync(faint_count(), 0, sizeof(unsigned), call_.stream()), "clear memory");
}

template <typename Real>
Memory gather_points(Call<Real> &call, const Origin<Real> &origin, const unsigned *list,
                     std::int64_t first, std::int64_t count) {
  const int ndim = call.hills().ndim;
  Memory gathered = call.allocate(count * ndim, sizeof(Real));
  GatherArgs<Real> args{};
  args.list = list;
  args.offset = first;
  args.count = count;
  args.ndim = ndim;
  args.points = origin.points;
  args.gathered = gathered.template as<Real>();
  for (int i = 0; origin.grid && i < ndim; ++i) {
    args.lower[i] = origin.grid->lower[i];
    args.spacing[i] = origin.grid->spacing[i];
    args.extent[i] = static_cast<int>(origin.grid->points[i]);
  }
  call.launch("cufes_gather", dim3(divide_up(count, block_size)), args);
  return gathered;
}

template <typename Real>
void sum_slices(Call<Real> &call, const SliceKernels &kernels, const Real *points,
                std::int64_t count, Real *values, double parts) {
  const int ndim = call.hills().ndim;
  const std::int64_t hills = call.hills().count;
  const int chunks = count_chunks(call.model(), divide_up(count, block_size), hills);
  PointsArgs<Real> args{};
  args.hills = call.hills();
  args.hills_per_chunk = divide_up(hills, chunks);
  // About 60 operations a pair.
  const double seconds = 60.0 * block_size * hills / call.model().rate;
  const std::int64_t wave = divide_up(8 * call.model().multiprocessors, chunks);
  const std::int64_t blocks =
      std::min(std::max(wave, static_cast<std::int64_t>(seconds_per_launch / seconds)),
               std::max<std::int64_t>(1, most_partial / chunks / block_size));
  const std::int64_t at_once = std::min(count, blocks * block_size);
  const Memory partial = call.allocate(at_once * chunks, sizeof(Real));
  args.values = partial.template as<Real>();
  for (std::int64_t first = 0; first < count; first += at_once) {
    args.points = points + first * ndim;
    args.count = std::min(at_once, count - first);
    const dim3 grid(divide_up(args.count, block_size), chunks);
    call.launch(kernel_name(kernels.sum, ndim), grid, args);
    ReduceArgs<Real> all{args.values, args.count, chunks, values + first};
    call.launch(kernels.reduce, dim3(grid.x), all);
    if (count > at_once) call.progress().launched(parts * args.count);
  }
}

template class Logarithm<double>;
template class Logarithm<float>;
template Memory gather_points(Call<double> &, const Origin<double> &, const unsigned *,
                              std::int64_t, std::int64_t);
template Memory gather_points(Call<float> &, const Origin<float> &, const unsigned *, std::int64_t,
                              std::int64_t);
template void sum_slices(Call<double> &, const SliceKernels &, const double *, std::int64_t,
                         double *, double);
template void sum_slices(Call<float> &, const SliceKernels &, const float *, std::int64_t, float *,
                         double);

}  // namespace cufes
