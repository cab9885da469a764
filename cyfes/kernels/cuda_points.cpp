// Sums at points on a CUDA device, and the direct path of grids: every hill at every point.
#include <algorithm>
#include <cmath>

#include "cuda_finish.hpp"
#include "points.cuh"

namespace cufes {
namespace {

// Blocks a multiprocessor gets, so that the last ones to finish do not count.
constexpr std::int64_t blocks_per_multiprocessor = 24;
// Hills that one launch takes at most: it must end soon.
constexpr std::int64_t hills_per_pass = 1 << 16;
// Points whose sums are in memory at a time, in chunks of hills all together.
constexpr std::int64_t most_sums = 1 << 25;

// Square root of log2(e) / 2: scales a distance in sigmas so that its square is a power of two.
constexpr double to_power = 0.8493218002880191;

template <typename Real>
struct FastPlan {
  std::string kernel;
  FastPointsArgs<Real> args{};
  std::int64_t blocks;
  int chunks;
};

template <typename Real>
FastPlan<Real> plan_fast(Call<Real> &call, std::int64_t count) {
  FastPlan<Real> plan;
  const Hills<Real> &hills = call.given();
  const std::vector<Real> sigmas = call.first_widths();
  const bool periodic = std::any_of(hills.periods, hills.periods + hills.ndim,
                                    [](double period) { return period > 0; });
  const bool stretched = hills.kernel == CUFES_STRETCHED_GAUSSIAN;
  const bool shared = hills.sigma_rows == 1 && !periodic && !stretched && hills.ndim > 1;
  // In single precision coordinates are scaled.
  const bool equal = shared && (sizeof(Real) == sizeof(float) ||
                                std::all_of(sigmas.begin(), sigmas.end(),
                                            [&](Real sigma) { return sigma == sigmas[0]; }));
  const char *variant = stretched ? "stretched_" : equal ? "equal_" : shared ? "shared_" : "any_";
  plan.kernel = std::string("cufes_fast_points_") + variant + std::to_string(hills.ndim);
  plan.args.hills = call.hills();
  plan.args.count = count;
  const double first = sigmas[0];
  for (int i = 0; i < hills.ndim; ++i) {
    plan.args.scale[i] = equal ? to_power / sigmas[i] : 1.0;
    plan.args.ratio[i] = (first / sigmas[i]) * (first / sigmas[i]);
  }
  plan.args.rate = rate_of_squares;
  if (shared) plan.args.rate /= first * first;
  plan.blocks = divide_up(count, block_size * points_per_thread<Real>);
  const std::int64_t hills_of_pass = std::min<std::int64_t>(hills.count, hills_per_pass);
  const std::int64_t wanted = blocks_per_multiprocessor * call.model().multiprocessors;
  const std::int64_t most =
      std::min(divide_up(hills_of_pass, block_size), std::max<std::int64_t>(1, most_sums / count));
  const std::int64_t chunks =
      std::max<std::int64_t>(1, std::min(divide_up(wanted, plan.blocks), most));
  plan.args.hills_per_chunk = divide_up(divide_up(hills_of_pass, chunks), 32) * 32;
  plan.chunks = static_cast<int>(divide_up(hills_of_pass, plan.args.hills_per_chunk));
  return plan;
}

// One pass of hills past all points, in launches of a few waves of blocks.
template <typename Real>
void launch_pass(Call<Real> &call, FastPlan<Real> &plan) {
  constexpr int per_block = block_size * points_per_thread<Real>;
  const double hills = static_cast<double>(plan.args.end_hill - plan.args.first_hill);
  // About 20 operations a pair.
  const double seconds = 20.0 * per_block * hills / call.model().rate;
  const std::int64_t wave = divide_up(4 * call.model().multiprocessors, plan.chunks);
  const std::int64_t at_once =
      std::max<std::int64_t>(1, static_cast<std::int64_t>(seconds_per_launch / seconds / wave)) *
      wave;
  for (std::int64_t block = 0; block < plan.blocks; block += at_once) {
    const std::int64_t part = std::min(at_once, plan.blocks - block);
    plan.args.first = block * per_block;
    call.launch(plan.kernel, dim3(part, plan.chunks), plan.args);
    call.progress().launched(static_cast<double>(part) * per_block * hills);
  }
}

// Sums at points that are on the device; `origin` and `first` say where they came from.
template <typename Real>
int sum_fast(Call<Real> &call, const Real *points, std::int64_t count, Logarithm<Real> &logarithm,
             const Origin<Real> &origin, std::int64_t first, Result<Real> &result) {
  FastPlan<Real> plan = plan_fast(call, count);
  const Memory sums = call.allocate_sums(count * plan.chunks);
  plan.args.points = points;
  plan.args.sums = sums.template as<double>();
  plan.args.logarithmic = logarithm.active();
  plan.args.largest = logarithm.largest();
  for (std::int64_t hill = 0; hill < call.given().count; hill += hills_per_pass) {
    plan.args.first_hill = hill;
    plan.args.end_hill = std::min<std::int64_t>(hill + hills_per_pass, call.given().count);
    launch_pass(call, plan);
  }
  result.prepare();
  logarithm.finish(sums.template as<double>(), count, count, plan.chunks, origin, first,
                   result.values());
  return plan.chunks;
}

// The general case: many axes, or multivariate hills.
template <typename Real>
void sum_general(Call<Real> &call, const Real *points, std::int64_t count, Result<Real> &result) {
  const bool logarithmic = call.given().kernel == CUFES_LOG_GAUSSIAN;
  sum_slices(call,
             {logarithmic ? "cufes_log_points_" : "cufes_points_",
              logarithmic ? "cufes_log_reduce" : "cufes_reduce"},
             points, count, result.values(), static_cast<double>(call.given().count));
  result.prepare();
}

template <typename Real>
bool is_fast(const Hills<Real> &hills) {
  return hills.ndim <= 3 && !hills.multivariate;
}

// As many points at a time as fit into memory.
template <typename Real>
std::int64_t points_at_once(Call<Real> &call, std::int64_t count) {
  const std::int64_t bytes = (call.given().ndim + 2) * sizeof(Real) + 4 + sizeof(double);
  constexpr std::int64_t small = 1 << 21;
  if (count <= small) return count;
  const std::int64_t fit = static_cast<std::int64_t>(usable_memory(call.device()) / bytes / 2);
  return std::min(count, std::max(small, fit));
}

}  // namespace

template <typename Real>
void sum_points_directly(Call<Real> &call, const Points<Real> &points) {
  const int ndim = call.given().ndim;
  const std::int64_t at_once = points_at_once(call, points.count);
  call.progress().expect(static_cast<double>(points.count) * call.given().count);
  const bool fast = is_fast<Real>(call.given());
  Logarithm<Real> logarithm(call, fast ? at_once : 0);
  int chunks = 1;
  for (std::int64_t first = 0; first < points.count; first += at_once) {
    const std::int64_t part = std::min(at_once, points.count - first);
    Origin<Real> origin;
    origin.points = points.points + first * ndim;
    std::vector<std::size_t> offsets;
    const Memory where = call.run().device_memory()
                             ? call.allocate(0, 1)
                             : call.upload({{origin.points, part * ndim * sizeof(Real)}}, offsets);
    if (!call.run().device_memory()) origin.points = where.template as<Real>();
    Result<Real> result(call, points.values + first, part);
    if (fast)
      chunks = sum_fast(call, origin.points, part, logarithm, origin, 0, result);
    else
      sum_general(call, origin.points, part, result);
    result.deliver();
  }
  call.progress().finish();
  call.run().plan(CUFES_PATH_DIRECT, "direct, hills in " + std::to_string(chunks) + " parts");
}

// Values at the points of a grid, slice by slice.
template <typename Real>
void sum_grid_points(Call<Real> &call, const Surface<Real> &surface) {
  const std::int64_t at_once = std::min<std::int64_t>(surface.size, 1 << 21);
  const bool fast = is_fast<Real>(call.given());
  Logarithm<Real> logarithm(call, fast ? at_once : 0);
  Origin<Real> origin;
  origin.grid = surface.grid;
  for (std::int64_t first = 0; first < surface.size; first += at_once) {
    const std::int64_t part = std::min(at_once, surface.size - first);
    const Memory points =
        gather_points(call, origin, static_cast<const unsigned *>(nullptr), first, part);
    Result<Real> result(call, surface.values + first, part);
    if (fast)
      sum_fast(call, points.template as<Real>(), part, logarithm, origin, first, result);
    else
      sum_general(call, points.template as<Real>(), part, result);
    result.deliver();
  }
}

template void sum_points_directly(Call<double> &, const Points<double> &);
template void sum_points_directly(Call<float> &, const Points<float> &);
template void sum_grid_points(Call<double> &, const Surface<double> &);
template void sum_grid_points(Call<float> &, const Surface<float> &);

}  // namespace cufes
