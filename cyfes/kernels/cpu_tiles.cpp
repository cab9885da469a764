// Sums on grids, tile by tile: each tile is owned by one thread, which finds the hills that count
// there and adds them in their order. The result does not depend on the number of threads.
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "FES.cuh"
#include "cpu_tiling.hpp"

namespace cufes {
namespace {

// What is the same for all tiles of a sum.
template <typename Real>
struct Sum {
  const Hills<Real> &hills;
  const Surface<Real> &surface;
  Tiling tiling;
  TransposedHills transposed;
  Watch watch;

  Sum(const Hills<Real> &given, const Surface<Real> &where, const Tiling &tiles, Run &run)
      : hills(given),
        surface(where),
        tiling(tiles),
        transposed(given),
        watch(run, static_cast<double>(tiles.count) * static_cast<double>(transposed.padded())) {}
};

// A tile that a thread is at, with the room that it keeps from tile to tile.
template <typename Real>
class Tile {
 public:
  explicit Tile(const Sum<Real> &sum) : sum_(sum), ndim_(sum.hills.ndim) {
    const std::int64_t planes = sum.surface.gradient ? 1 + ndim_ : 1;
    batch_.ndim = ndim_;
    batch_.gradient = sum.surface.gradient != nullptr;
    batch_.boxed = sum.hills.kernel == CUFES_BOXED_GAUSSIAN;
    batch_.stretched = sum.hills.kernel == CUFES_STRETCHED_GAUSSIAN;
    batch_.shifted = sum.hills.kernel == CUFES_LOG_GAUSSIAN;
    batch_.columns = static_cast<int>(sum.tiling.columns);
    batch_.plane = sum.tiling.rows * sum.tiling.columns;
    sums_.resize(planes * batch_.plane);
    weights_.resize(sum.tiling.rows * batch_hills);
    nearest_.resize(sum.tiling.columns / group_columns * batch_hills);
    for (int i = 0; i < ndim_; ++i) lay_table(i);
    batch_.sums = sums_.data();
    batch_.weights = weights_.data();
    batch_.group_nearest = nearest_.data();
  }
  Tile(Tile &&) = default;

  const Box &box() const { return box_; }

  void move_to(std::int64_t tile) {
    const cufes_grid &grid = *sum_.surface.grid;
    std::int64_t rows = 1;
    for (int i = ndim_ - 1; i >= 0; --i) {
      TileAxis &axis = batch_.axes[i];
      axis.lower = grid.lower[i];
      axis.spacing = grid.spacing[i];
      axis.period = sum_.hills.periods[i];
      axis.period_points = std::round(axis.period / axis.spacing);
      axis.inverse_period = axis.period > 0 ? 1.0 / axis.period : 0.0;
      axis.first = tile % sum_.tiling.tiles[i] * sum_.tiling.extent[i];
      axis.extent = static_cast<int>(std::min(sum_.tiling.extent[i], grid.points[i] - axis.first));
      tile /= sum_.tiling.tiles[i];
      if (i + 1 < ndim_) rows *= axis.extent;
      enclose(i);
      place_points(i);
    }
    batch_.rows = static_cast<int>(round_up(rows, block_rows));
    batch_.count = 0;
    std::fill(sums_.begin(), sums_.end(), 0.0);
  }

  // Adds hill n, of the height given, once a batch is full.
  void take(std::int64_t n, double height, void (*add)(TileBatch &)) {
    const HillsTable &hills = sum_.transposed.table();
    const int slot = batch_.count++;
    batch_.height[slot] = height;
    for (int i = 0; i < ndim_; ++i) {
      batch_.center[i][slot] = hills.center[i][n];
      batch_.sigma[i][slot] = sum_.hills.sigmas[n * sigma_stride(sum_.hills) + i];
    }
    if (batch_.count == batch_hills) flush(add);
  }

  void flush(void (*add)(TileBatch &)) {
    if (batch_.count == 0) return;
    for (int slot = batch_.count; slot < batch_hills; ++slot) {
      batch_.height[slot] = batch_.shifted ? -INFINITY : 0.0;
      for (int i = 0; i < ndim_; ++i) {
        batch_.center[i][slot] = batch_.center[i][0];
        batch_.sigma[i][slot] = batch_.sigma[i][0];
      }
    }
    add(batch_);
    batch_.count = 0;
  }

  // Hands each sum that lies on the grid to `write`, with its place in the surface.
  template <typename Write>
  void for_points(const Write &write) const {
    for_points(0, 0, 0, write);
  }
  const double *sums() const { return sums_.data(); }
  std::int64_t plane() const { return batch_.plane; }

  // Copies the sums that lie on the grid to planes as large as the surface.
  void save(double *planes) const {
    for_points([&](std::int64_t from, std::int64_t to, std::int64_t count) {
      for (std::int64_t k = 0, p = 0; k < static_cast<std::int64_t>(sums_.size());
           k += batch_.plane, ++p)
        std::copy_n(sums_.data() + k + from, count, planes + p * sum_.surface.size + to);
    });
  }
  // Adds such sums, each times a factor.
  void add(const double *planes, double factor) {
    for_points([&](std::int64_t to, std::int64_t from, std::int64_t count) {
      for (std::int64_t at = 0, p = 0; at < static_cast<std::int64_t>(sums_.size());
           at += batch_.plane, ++p) {
        const double *part = planes + p * sum_.surface.size + from;
        for (std::int64_t k = 0; k < count; ++k) sums_[at + to + k] += factor * part[k];
      }
    });
  }

 private:
  void lay_table(int i) {
    const bool last = i + 1 == ndim_;
    const std::int64_t points = last ? sum_.tiling.columns : sum_.tiling.extent[i];
    const std::int64_t size = points * batch_hills;
    // A vector that is moved keeps its memory.
    tables_.emplace_back(3 * size + points);
    double *memory = tables_.back().data();
    batch_.tables[i].half_square = memory;
    batch_.tables[i].factor = memory + size;
    batch_.tables[i].slope = memory + 2 * size;
    batch_.tables[i].point = memory + 3 * size;
  }

  // Along the last axis with the points that only fill a group.
  void place_points(int i) {
    const TileAxis &axis = batch_.axes[i];
    const int points = i + 1 == ndim_ ? batch_.columns : axis.extent;
    for (int k = 0; k < points; ++k) {
      // Rounded before it is added, as PLUMED's is: a point may lie on the very cut-off of a hill.
      const volatile double way = static_cast<double>(axis.first + k) * axis.spacing;
      batch_.tables[i].point[k] = axis.lower + way;
    }
  }

  // The box around the tile; along the last axis with the points that only fill a group.
  void enclose(int i) {
    const TileAxis &axis = batch_.axes[i];
    const double points = i + 1 == ndim_ ? batch_.columns : axis.extent;
    const double half = 0.5 * (points - 1);
    box_.middle[i] = axis.lower + (static_cast<double>(axis.first) + half) * axis.spacing;
    box_.half[i] = half * axis.spacing;
    box_.period[i] = axis.period;
    box_.inverse_period[i] = axis.inverse_period;
  }

  template <typename Write>
  void for_points(int i, std::int64_t row, std::int64_t offset, const Write &write) const {
    const TileAxis &axis = batch_.axes[i];
    const std::int64_t points = sum_.surface.grid->points[i];
    offset = offset * points + axis.first;
    if (i + 1 == ndim_) return write(row * batch_.columns, offset, axis.extent);
    for (int k = 0; k < axis.extent; ++k)
      for_points(i + 1, row * axis.extent + k, offset + k, write);
  }

  const Sum<Real> &sum_;
  int ndim_;
  TileBatch batch_{};
  Box box_{};
  std::vector<double> sums_, weights_, nearest_;
  std::vector<std::vector<double>> tables_;
};

// Runs `compute` for each tile and so many parts of the hills, with a Tile of the thread's own.
template <typename Real, typename Compute>
void for_parts(Sum<Real> &sum, std::int64_t parts, const Compute &compute) {
  std::vector<Tile<Real>> own;
  const std::int64_t count = sum.tiling.count * parts;
  const int threads = static_cast<int>(std::min<std::int64_t>(omp_get_max_threads(), count));
  // Made before the threads start: an exception must not leave a parallel region.
  for (int t = 0; t < threads; ++t) own.emplace_back(sum);
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads)
  for (std::int64_t k = 0; k < count; ++k) {
    if (sum.watch.stopped()) continue;
    Tile<Real> &tile = own[omp_get_thread_num()];
    tile.move_to(k / parts);
    compute(tile, k / parts, k % parts);
  }
  sum.watch.finish();
}

template <typename Real, typename Compute>
void for_tiles(Sum<Real> &sum, const Compute &compute) {
  for_parts(sum, 1, [&](Tile<Real> &tile, std::int64_t, std::int64_t) { compute(tile); });
}

// Takes note of a batch that was looked at or added; false if the sum is to stop.
template <typename Real>
bool go_on(Sum<Real> &sum, double hills) {
  sum.watch.add(hills, omp_get_thread_num() == 0);
  return !sum.watch.stopped();
}

template <typename Real>
void keep_sums(const Sum<Real> &sum, const Tile<Real> &tile) {
  const Surface<Real> &surface = sum.surface;
  tile.for_points([&](std::int64_t from, std::int64_t to, std::int64_t count) {
    const auto keep = [&](const double *sums, Real *where) {
      for (std::int64_t k = 0; k < count; ++k) where[to + k] = static_cast<Real>(sums[from + k]);
    };
    keep(tile.sums(), surface.values);
    for (int i = 0; surface.gradient && i < sum.hills.ndim; ++i)
      keep(tile.sums() + (1 + i) * tile.plane(), surface.gradient + i * surface.size);
  });
}

// Half the squared distance, in sigmas, that a hill is within if it counts in a tile; a little more
// than that, for each point decides exactly.
template <typename Real>
double find_limit(const Sum<Real> &sum) {
  if (sum.hills.kernel == CUFES_STRETCHED_GAUSSIAN) return 1.0001 * stretch_cutoff;
  double limit = 0;
  for (int i = 0; i < sum.hills.ndim; ++i) {
    const double step = sum.surface.grid->spacing[i] * sum.transposed.largest_inverse(i);
    limit += 0.5 * (reach + 2 * step) * (reach + 2 * step);
  }
  return 1.0001 * limit;
}

// Beyond that, a term is too small to change a sum of `hills` such terms.
double negligible(std::int64_t hills) {
  return std::log(static_cast<double>(hills)) - std::log(std::numeric_limits<double>::epsilon());
}

// The largest bound from above and from below of what any hill adds at a point of a tile, as
// logarithms.
struct Extremes {
  double upper = -INFINITY;
  double lower = -INFINITY;
};

// Hills from `begin` to before `end`; both are multiples of a batch.
struct Range {
  std::int64_t begin, end;
};

Range part_of(const TransposedHills &hills, std::int64_t part, std::int64_t parts) {
  const std::int64_t batches = hills.padded() / batch_hills;
  return {batches * part / parts * batch_hills, batches * (part + 1) / parts * batch_hills};
}

Extremes find_extremes(const TransposedHills &hills, const Range &range, const Box &box) {
  Extremes extremes;
  Bounds bounds;
  for (std::int64_t first = range.begin; first < range.end; first += batch_hills) {
    cpu_kernels().bounds(hills.table(), first, box, bounds);
    for (int h = 0; h < batch_hills; ++h) {
      extremes.upper = std::max(extremes.upper, bounds.upper[h]);
      extremes.lower = std::max(extremes.lower, bounds.lower[h]);
    }
  }
  return extremes;
}

// Adds those hills of a range that are not negligible everywhere in a tile, and returns the
// logarithm of the unit that the sums are in.
template <typename Real>
double add_gaussians(Sum<Real> &sum, Tile<Real> &tile, const Range &range) {
  const TransposedHills &hills = sum.transposed;
  const bool logarithmic = sum.hills.kernel == CUFES_LOG_GAUSSIAN;
  const Extremes extremes = find_extremes(hills, range, tile.box());
  const double least = extremes.lower - negligible(hills.count());
  const double unit = logarithmic ? extremes.upper : 0.0;
  Bounds bounds;
  for (std::int64_t first = range.begin; first < range.end; first += batch_hills) {
    cpu_kernels().bounds(hills.table(), first, tile.box(), bounds);
    const std::int64_t end = std::min<std::int64_t>(batch_hills, hills.count() - first);
    for (std::int64_t h = 0; h < end; ++h)
      if (bounds.upper[h] >= least)
        tile.take(first + h, sum.hills.heights[first + h] - unit, cpu_kernels().separable);
    if (!go_on(sum, batch_hills)) return unit;
  }
  tile.flush(cpu_kernels().separable);
  return unit;
}

// Below it, terms of a sum of logarithms may have vanished: far enough above the smallest number
// for sums of any length.
constexpr double faint = 1e-280;

template <typename Real>
void keep_logarithms(const Sum<Real> &sum, const Tile<Real> &tile, double unit) {
  tile.for_points([&](std::int64_t from, std::int64_t to, std::int64_t count) {
    for (std::int64_t k = 0; k < count; ++k) {
      const double value = tile.sums()[from + k];
      sum.surface.values[to + k] =
          static_cast<Real>(value < faint ? -INFINITY : unit + std::log(value));
    }
  });
}

// How a sum of products is divided: tiles, and parts of the hills.
struct Division {
  Tiling tiling;
  std::int64_t parts;
};

// Tiles for products: as large as the factors of a batch are soon worth their exponentials, but not
// much larger than a hill, most of whose points would otherwise add nothing. Where there are few of
// them, the hills are divided too: smaller tiles would need more exponentials.
template <typename Real>
Division divide_products(const Hills<Real> &hills, const cufes_grid &grid) {
  constexpr double most_rows = 256, most_columns = 128, widths = 24;
  double deviations[CUFES_MAX_DIM], rows = 1;
  standard_deviations(hills, hills.sigmas, deviations);
  const auto across = [&](int i) { return widths * deviations[i] / grid.spacing[i]; };
  for (int i = 0; i + 1 < grid.ndim; ++i)
    rows = std::min(most_rows, rows * std::max(4.0, across(i)));
  const auto columns =
      std::max<std::int64_t>(group_columns, std::min(most_columns, across(grid.ndim - 1)));
  const Tiling tiling = lay_tiles(grid, static_cast<std::int64_t>(rows), columns);
  // Of fewer hills, the sums of a part would take as long to be added as to be made.
  constexpr std::int64_t least_part = 4 * batch_hills;
  const std::int64_t parts =
      std::min(divide_up(enough_tiles, tiling.count), hills.count / least_part);
  return {tiling, std::max<std::int64_t>(1, parts)};
}

// Keeps what a tile has summed, in units whose logarithm is given.
template <typename Real>
void keep(const Sum<Real> &sum, const Tile<Real> &tile, double unit) {
  if (sum.hills.kernel == CUFES_LOG_GAUSSIAN)
    keep_logarithms(sum, tile, unit);
  else
    keep_sums(sum, tile);
}

// The same sums from several parts of the hills, which are added in their order.
template <typename Real>
void sum_parts(Sum<Real> &sum, std::int64_t parts) {
  const std::int64_t planes = sum.surface.gradient ? 1 + sum.hills.ndim : 1;
  const std::int64_t size = planes * sum.surface.size;
  std::vector<double> sums(parts * size), units(sum.tiling.count * parts);
  for_parts(sum, parts, [&](Tile<Real> &tile, std::int64_t t, std::int64_t part) {
    const Range range = part_of(sum.transposed, part, parts);
    units[t * parts + part] = add_gaussians(sum, tile, range);
    tile.save(sums.data() + part * size);
  });
  for_parts(sum, 1, [&](Tile<Real> &tile, std::int64_t t, std::int64_t) {
    const double *own = units.data() + t * parts;
    const double unit = *std::max_element(own, own + parts);
    for (std::int64_t part = 0; part < parts; ++part)
      tile.add(sums.data() + part * size, std::exp(own[part] - unit));
    keep(sum, tile, unit);
  });
}

}  // namespace

template <typename Real>
void sum_grid_truncated(const Hills<Real> &hills, const Surface<Real> &surface, Run &run) {
  const int ndim = hills.ndim;
  const Tiling tiling = lay_enough_tiles(*surface.grid, ndim > 2 ? 256 : 64, ndim > 2 ? 16 : 64);
  run.plan(CUFES_PATH_TRUNCATED, describe("truncated", *surface.grid, tiling));
  Sum<Real> sum(hills, surface, tiling, run);
  const double limit = find_limit(sum);
  const auto add = cpu_kernels().truncated;
  for_tiles<Real>(sum, [&](Tile<Real> &tile) {
    const TransposedHills &all = sum.transposed;
    for (std::int64_t first = 0; first < all.padded(); first += batch_hills) {
      std::uint64_t hits = all.within(first, tile.box(), limit);
      for (; hits; hits &= hits - 1) {
        const std::int64_t n = first + __builtin_ctzll(hits);
        tile.take(n, hills.heights[n], add);
      }
      if (!go_on(sum, batch_hills)) return;
    }
    tile.flush(add);
    keep_sums(sum, tile);
  });
}

template <typename Real>
void sum_grid_separable(const Hills<Real> &hills, const Surface<Real> &surface, Run &run) {
  const Division division = divide_products<Real>(hills, *surface.grid);
  const std::string parts =
      division.parts > 1 ? ", hills in " + std::to_string(division.parts) + " parts" : "";
  run.plan(CUFES_PATH_SEPARABLE, describe("separable", *surface.grid, division.tiling, parts));
  Sum<Real> sum(hills, surface, division.tiling, run);
  sum.transposed.take_logarithms(hills);
  if (division.parts > 1)
    sum_parts(sum, division.parts);
  else
    for_tiles<Real>(sum, [&](Tile<Real> &tile) {
      keep(sum, tile, add_gaussians(sum, tile, part_of(sum.transposed, 0, 1)));
    });
  if (hills.kernel != CUFES_LOG_GAUSSIAN) return;
  std::vector<std::int64_t> left;
  for (std::int64_t point = 0; point < surface.size; ++point)
    if (std::isinf(surface.values[point])) left.push_back(point);
  sum_logarithms_at<Real>(hills, surface, left, run);
}

template void sum_grid_truncated<double>(const cufes_hills &, const Surface<double> &, Run &);
template void sum_grid_truncated<float>(const cufes_hills_f32 &, const Surface<float> &, Run &);
template void sum_grid_separable<double>(const cufes_hills &, const Surface<double> &, Run &);
template void sum_grid_separable<float>(const cufes_hills_f32 &, const Surface<float> &, Run &);

}  // namespace cufes
