// Every hill at every point, in blocks of points and batches of hills.
#include <omp.h>

#include <algorithm>
#include <cmath>

#include "cpu_block.hpp"

namespace cufes {
namespace {

// Hills that a block of points adds up before it looks whether it is to stop: a millisecond or two,
// and a multiple of all batches.
constexpr std::int64_t part = 16384;

// Sums the hills at blocks of points: `place` fills in where a lane's point is, `keep` takes what a
// filled block has summed. Each point is owned by one thread, which adds the hills in their order:
// the result does not depend on the number of threads.
template <typename Real, typename Place, typename Keep>
void sum_blocks(const Hills<Real> &hills, std::int64_t points, bool gradient, Run &run,
                const Place &place, const Keep &keep) {
  const PointsBlock<Real> empty = make_block<Real>(hills);
  const auto add_hills = choose_kernel<Real>(hills, gradient);
  const std::int64_t blocks = (points + lanes - 1) / lanes;
  Watch watch(run, static_cast<double>(blocks) * static_cast<double>(hills.count));
#pragma omp parallel for schedule(dynamic, 1)
  for (std::int64_t b = 0; b < blocks; ++b) {
    if (watch.stopped()) continue;
    const std::int64_t first = b * lanes;
    const int filled = static_cast<int>(std::min<std::int64_t>(lanes, points - first));
    PointsBlock<Real> block = empty;
    // Lanes without a point repeat the last one: no number that could trap or be slow.
    for (int lane = 0; lane < lanes; ++lane) place(first + std::min(lane, filled - 1), block, lane);
    for (std::int64_t n = 0; n < hills.count && !watch.stopped(); n += part) {
      block.begin = n;
      block.end = std::min(n + part, hills.count);
      add_hills(block);
      watch.add(static_cast<double>(block.end - block.begin), omp_get_thread_num() == 0);
    }
    keep(block, first, filled);
  }
  watch.finish();
}

template <typename Real>
Real block_value(const Hills<Real> &hills, const PointsBlock<Real> &block, int lane) {
  if (hills.kernel != CUFES_LOG_GAUSSIAN) return static_cast<Real>(block.total[lane]);
  return static_cast<Real>(block.largest[lane] + std::log(block.total[lane]));
}

template <typename Real>
void place_grid_point(const cufes_grid &grid, std::int64_t point, PointsBlock<Real> &block,
                      int lane) {
  for (int i = grid.ndim - 1; i >= 0; --i) {
    const double index = static_cast<double>(point % grid.points[i]);
    block.x[i][lane] = static_cast<Real>(grid.lower[i] + index * grid.spacing[i]);
    point /= grid.points[i];
  }
}

std::string describe(std::int64_t points) {
  const std::int64_t blocks = (points + lanes - 1) / lanes;
  return "direct, " + std::to_string(blocks) + " blocks of " + std::to_string(lanes) + " points, " +
         cpu_means();
}

}  // namespace

template <typename Real>
void sum_points_direct(const Hills<Real> &hills, const Points<Real> &points, Run &run) {
  run.plan(CUFES_PATH_DIRECT, describe(points.count));
  const auto place = [&](std::int64_t point, PointsBlock<Real> &block, int lane) {
    for (int i = 0; i < hills.ndim; ++i) block.x[i][lane] = points.points[point * hills.ndim + i];
  };
  const auto keep = [&](const PointsBlock<Real> &block, std::int64_t first, int filled) {
    for (int lane = 0; lane < filled; ++lane)
      points.values[first + lane] = block_value<Real>(hills, block, lane);
  };
  sum_blocks<Real>(hills, points.count, false, run, place, keep);
}

template <typename Real>
void sum_grid_direct(const Hills<Real> &hills, const Surface<Real> &surface, Run &run) {
  run.plan(CUFES_PATH_DIRECT, describe(surface.size));
  const auto place = [&](std::int64_t point, PointsBlock<Real> &block, int lane) {
    place_grid_point(*surface.grid, point, block, lane);
  };
  const auto keep = [&](const PointsBlock<Real> &block, std::int64_t first, int filled) {
    for (int lane = 0; lane < filled; ++lane)
      surface.values[first + lane] = block_value<Real>(hills, block, lane);
    for (int i = 0; surface.gradient && i < hills.ndim; ++i)
      for (int lane = 0; lane < filled; ++lane)
        surface.gradient[i * surface.size + first + lane] =
            static_cast<Real>(block.gradient[i][lane]);
  };
  sum_blocks<Real>(hills, surface.size, surface.gradient != nullptr, run, place, keep);
}

template <typename Real>
void sum_logarithms_at(const Hills<Real> &hills, const Surface<Real> &surface,
                       const std::vector<std::int64_t> &points, Run &run) {
  const auto place = [&](std::int64_t point, PointsBlock<Real> &block, int lane) {
    place_grid_point(*surface.grid, points[point], block, lane);
  };
  const auto keep = [&](const PointsBlock<Real> &block, std::int64_t first, int filled) {
    for (int lane = 0; lane < filled; ++lane)
      surface.values[points[first + lane]] = block_value<Real>(hills, block, lane);
  };
  sum_blocks<Real>(hills, static_cast<std::int64_t>(points.size()), false, run, place, keep);
}

template void sum_logarithms_at<double>(const cufes_hills &, const Surface<double> &,
                                        const std::vector<std::int64_t> &, Run &);
template void sum_logarithms_at<float>(const cufes_hills_f32 &, const Surface<float> &,
                                       const std::vector<std::int64_t> &, Run &);
template void sum_points_direct<double>(const cufes_hills &, const Points<double> &, Run &);
template void sum_points_direct<float>(const cufes_hills_f32 &, const Points<float> &, Run &);
template void sum_grid_direct<double>(const cufes_hills &, const Surface<double> &, Run &);
template void sum_grid_direct<float>(const cufes_hills_f32 &, const Surface<float> &, Run &);

}  // namespace cufes
