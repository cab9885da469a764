// Multivariate hills with a cut-off on grids, and hills in boxes of bins: small tiles, one point a
// lane, each with the hills that reach it.
#include <omp.h>

#include "FES.cuh"
#include "cpu_block.hpp"
#include "cpu_tiling.hpp"

namespace cufes {
namespace {

constexpr std::int64_t tile_rows = lanes / group_columns;

// A tile that a thread is at, and the hills that it adds next.
template <typename Real>
class LanesTile {
 public:
  LanesTile(const Hills<Real> &hills, const Surface<Real> &surface, const Tiling &tiling)
      : hills_(hills), surface_(surface), tiling_(tiling), empty_(make_block<Real>(hills)) {
    centers_.resize(batch_hills * hills.ndim);
    sigmas_.resize(batch_hills * sigma_columns(hills));
    heights_.resize(batch_hills);
    empty_.centers = centers_.data();
    empty_.sigmas = sigmas_.data();
    empty_.heights = heights_.data();
    empty_.sigma_stride = sigma_columns(hills);
    if (hills.boxes) times_.resize(batch_hills * lanes);
    empty_.times = hills.boxes ? times_.data() : nullptr;
    for (int i = 0; i < hills.ndim; ++i)
      bins_[i] = std::llround(hills.periods[i] / surface.grid->spacing[i]);
    // With boxes most of the time goes elsewhere: values alone need no kernel of their own.
    add_ = choose_kernel<Real>(hills, surface.gradient || hills.boxes);
  }

  // Lays the lanes over the points of a tile and returns the box around them.
  Box move_to(std::int64_t tile) {
    block_ = empty_;
    Box box{};
    for (int i = hills_.ndim - 1; i >= 0; --i) {
      first_[i] = tile % tiling_.tiles[i] * tiling_.extent[i];
      extent_[i] = std::min(tiling_.extent[i], surface_.grid->points[i] - first_[i]);
      tile /= tiling_.tiles[i];
      const double half = 0.5 * static_cast<double>(extent_[i] - 1);
      const double spacing = surface_.grid->spacing[i];
      box.middle[i] = surface_.grid->lower[i] + (static_cast<double>(first_[i]) + half) * spacing;
      box.half[i] = half * spacing;
      box.period[i] = hills_.periods[i];
      box.inverse_period[i] = box.period[i] > 0 ? 1.0 / box.period[i] : 0.0;
    }
    filled_ = 1;
    for (int i = 0; i < hills_.ndim; ++i) filled_ *= static_cast<int>(extent_[i]);
    // Lanes without a point repeat the last one: no number that could trap or be slow.
    for (int lane = 0; lane < lanes; ++lane) place(lane);
    return box;
  }

  void take(std::int64_t n) {
    if (hills_.boxes && !count_times(n)) return;
    const int columns = sigma_columns(hills_), ndim = hills_.ndim;
    const Real *sigma = hills_.sigmas + n * sigma_stride(hills_);
    std::copy_n(hills_.centers + n * ndim, ndim, centers_.data() + block_.end * ndim);
    std::copy_n(sigma, columns, sigmas_.data() + block_.end * columns);
    heights_[block_.end++] = hills_.heights[n];
    if (block_.end == batch_hills) flush();
  }

  void flush() {
    if (block_.end > 0) add_(block_);
    block_.end = 0;
  }

  void keep() const {
    for (int lane = 0; lane < filled_; ++lane) {
      surface_.values[at_[lane]] = static_cast<Real>(block_.total[lane]);
      for (int i = 0; surface_.gradient && i < hills_.ndim; ++i)
        surface_.gradient[i * surface_.size + at_[lane]] =
            static_cast<Real>(block_.gradient[i][lane]);
    }
  }

 private:
  // How often the box of hill n comes by each lane's point; false if by none.
  bool count_times(std::int64_t n) {
    Real *times = times_.data() + block_.end * lanes;
    std::fill_n(times, lanes, Real(1));
    for (int i = 0; i < hills_.ndim; ++i) {
      const std::int32_t *ends = hills_.boxes + 2 * (n * hills_.ndim + i);
      const std::int64_t length = std::int64_t(ends[1]) - ends[0] + 1;
      const std::int64_t bins = bins_[i];
      std::int64_t place = first_[i] - ends[0];
      if (bins > 0 && (place < 0 || place >= bins)) place = (place % bins + bins) % bins;
      const bool once = bins == 0 || (length <= bins && place + extent_[i] <= bins);
      if (once && place >= 0 && place + extent_[i] <= length) continue;
      Real along[lanes];
      if (!count_along(i, place, length, along)) return false;
      for (int lane = 0; lane < lanes; ++lane) times[lane] *= along[places_[i][lane]];
    }
    return true;
  }

  // The same for the places of the tile along one axis, the first of which is `place` in a box.
  bool count_along(int i, std::int64_t place, std::int64_t length, Real *times) const {
    const std::int64_t bins = bins_[i];
    bool any = false;
    for (std::int64_t k = 0; k < extent_[i]; ++k, ++place) {
      if (bins > 0 && place == bins) place = 0;
      const bool inside = place >= 0 && place < length;
      const std::int64_t again = bins > 0 && length > bins ? (length - 1 - place) / bins : 0;
      times[k] = static_cast<Real>(inside ? 1 + again : 0);
      any = any || inside;
    }
    return any;
  }

  void place(int lane) {
    std::int64_t rest = std::min(lane, filled_ - 1), stride = 1;
    at_[lane] = 0;
    for (int i = hills_.ndim - 1; i >= 0; --i) {
      places_[i][lane] = static_cast<int>(rest % extent_[i]);
      const std::int64_t index = first_[i] + places_[i][lane];
      block_.x[i][lane] = static_cast<Real>(surface_.grid->lower[i] +
                                            static_cast<double>(index) * surface_.grid->spacing[i]);
      at_[lane] += index * stride;
      rest /= extent_[i];
      stride *= surface_.grid->points[i];
    }
  }

  const Hills<Real> &hills_;
  const Surface<Real> &surface_;
  const Tiling &tiling_;
  PointsBlock<Real> empty_, block_;
  void (*add_)(PointsBlock<Real> &);
  std::vector<Real> centers_, sigmas_, heights_, times_;
  std::int64_t bins_[CUFES_MAX_DIM];  // once around a periodic axis, 0 for any other
  std::int64_t first_[CUFES_MAX_DIM], extent_[CUFES_MAX_DIM], at_[lanes];
  int places_[CUFES_MAX_DIM][lanes];  // of a lane's point in the tile
  int filled_ = 0;
};

}  // namespace

template <typename Real>
void sum_grid_multivariate(const Hills<Real> &hills, const Surface<Real> &surface, Run &run) {
  const Tiling tiling = lay_tiles(*surface.grid, tile_rows, group_columns);
  const char *what = hills.boxes ? "truncated, a box for each hill" : "truncated, multivariate";
  run.plan(CUFES_PATH_TRUNCATED, describe(what, *surface.grid, tiling));
  const TransposedHills all(hills);
  // Each of the widths along the axes alone bounds where a hill reaches; a little more than that,
  // for each point decides exactly. Plain Gaussians have nothing but their boxes.
  const bool stretched = hills.kernel == CUFES_STRETCHED_GAUSSIAN;
  const double limit = stretched ? 1.0001 * stretch_cutoff * hills.ndim : INFINITY;
  Watch watch(run, static_cast<double>(tiling.count) * static_cast<double>(all.padded()));
  // Made before the threads start: an exception must not leave a parallel region.
  std::vector<LanesTile<Real>> own;
  for (int t = 0; t < omp_get_max_threads(); ++t) own.emplace_back(hills, surface, tiling);
#pragma omp parallel for schedule(dynamic, 1)
  for (std::int64_t t = 0; t < tiling.count; ++t) {
    LanesTile<Real> &tile = own[omp_get_thread_num()];
    const Box box = tile.move_to(t);
    for (std::int64_t first = 0; first < all.padded() && !watch.stopped(); first += batch_hills) {
      std::uint64_t hits = all.within(first, box, limit);
      for (; hits; hits &= hits - 1) tile.take(first + __builtin_ctzll(hits));
      watch.add(batch_hills, omp_get_thread_num() == 0);
    }
    tile.flush();
    tile.keep();
  }
  watch.finish();
}

template void sum_grid_multivariate<double>(const cufes_hills &, const Surface<double> &, Run &);
template void sum_grid_multivariate<float>(const cufes_hills_f32 &, const Surface<float> &, Run &);

}  // namespace cufes
