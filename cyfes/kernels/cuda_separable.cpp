// The separable path on a CUDA device; see separable.cuh.
#include <algorithm>
#include <cmath>
#include <limits>

#include "cuda_finish.hpp"
#include "separable.cuh"

namespace cufes {
namespace {

// The tiles that kernels are compiled for, and the octets of a stage. Of two plans that are as
// good, the first is taken: long stages are faster, where there is the shared memory for them.
struct Shape {
  int rows, columns, octets;
  const char *kernel;
};
constexpr Shape shapes[] = {{128, 104, 8, "cufes_product_104_long"},
                            {128, 104, 4, "cufes_product_104"},
                            {256, 56, 4, "cufes_product_56"}};

// The tables of a chunk of hills, and the partial sums, at most.
constexpr double most_table_bytes = 256 << 20;
constexpr double most_sum_bytes = 512 << 20;

// Bytes of shared memory for so many rows.
constexpr int stage_bytes(const Shape &shape, int rows, int element) {
  return stages * shape.octets * rows * octet * element;
}

// How a grid is cut: axes [0, v) are the first group, [v, w) the second, [w, ndim) the third.
struct Cut {
  int v, w;
  std::int64_t rows[3];
};

struct ProductPlan {
  Cut cut;
  Shape shape;
  int tile_u, tile_v;
  std::int64_t tiles_u, tiles_v, tiles_w;
  int splits;
  double seconds;
  std::int64_t tiles() const { return tiles_u * tiles_v * tiles_w; }
};

Cut make_cut(const std::int64_t *points, int ndim, int v, int w) {
  Cut cut{v, w, {1, 1, 1}};
  for (int i = 0; i < ndim; ++i) cut.rows[(i >= v) + (i >= w)] *= points[i];
  return cut;
}

// Devices with less have no kernel with long stages; single precision gains nothing from them.
constexpr int shared_memory_for_long = 200 << 10;
bool is_usable(const Shape &shape, int shared_memory, int element) {
  return shape.octets == 4 || (shared_memory >= shared_memory_for_long && element == 8);
}

// The tile with least padding, for the second group in one piece, two, and so on.
ProductPlan place_tiles(const Cut &cut, const Shape &shape, int shared_memory, int element) {
  ProductPlan best{};
  std::int64_t fewest = std::numeric_limits<std::int64_t>::max();
  const std::int64_t most_rows = std::min<std::int64_t>(
      stage_rows, (shared_memory - barrier_bytes) / stage_bytes(shape, 1, element));
  const std::int64_t room = most_rows - shape.columns;
  for (std::int64_t pieces = 1; pieces <= std::min<std::int64_t>(cut.rows[1], 64); ++pieces) {
    const std::int64_t tile_v = divide_up(cut.rows[1], pieces);
    if (tile_v > shape.rows || tile_v >= room) continue;
    const std::int64_t tile_u = std::min({cut.rows[0], shape.rows / tile_v, room - tile_v});
    const std::int64_t tiles_u = divide_up(cut.rows[0], tile_u);
    const std::int64_t tiles_v = divide_up(cut.rows[1], tile_v);
    if (tiles_u * tiles_v >= fewest) continue;
    fewest = tiles_u * tiles_v;
    best = {cut,
            shape,
            static_cast<int>(tile_u),
            static_cast<int>(tile_v),
            tiles_u,
            tiles_v,
            divide_up(cut.rows[2], shape.columns),
            1,
            0};
  }
  return best;
}

// Seconds for all hills, with the hills split so that the blocks come out even on the device.
void split_hills(ProductPlan &plan, const Model &model, std::int64_t hills, double element) {
  const double size = static_cast<double>(plan.cut.rows[0]) * plan.cut.rows[1] * plan.cut.rows[2];
  const double octets = std::ceil(hills / 8.0);
  // As measured, tensor cores reach 85 % of their rate.
  const double rate = 0.85 * (element == 8 ? model.matrix_rate : 16 * model.rate);
  const double octet = 8.0 * plan.shape.rows * plan.shape.columns * model.multiprocessors / rate;
  constexpr double bytes_per_second = 2e12;
  plan.seconds = std::numeric_limits<double>::infinity();
  for (int splits = 1; splits <= 64 && splits <= octets; ++splits) {
    if (splits > 1 && splits * size * 8 > most_sum_bytes) break;
    const double waves =
        std::ceil(static_cast<double>(plan.tiles()) * splits / model.multiprocessors);
    const double seconds =
        waves * (std::ceil(octets / splits) + 4) * octet + splits * size * 24 / bytes_per_second;
    if (seconds >= plan.seconds) continue;
    plan.seconds = seconds;
    plan.splits = splits;
  }
  const double rows = static_cast<double>(plan.cut.rows[0] + plan.cut.rows[1] + plan.cut.rows[2]);
  plan.seconds += 40 * hills * rows / model.rate;
}

ProductPlan plan_product(const Model &model, const std::int64_t *points, int ndim,
                         std::int64_t hills, double element) {
  ProductPlan best{};
  best.seconds = std::numeric_limits<double>::infinity();
  for (int v = 1; v <= ndim; ++v)
    for (int w = v; w <= ndim; ++w) {
      const Cut cut = make_cut(points, ndim, v, w);
      if (std::max({cut.rows[0], cut.rows[1], cut.rows[2]}) > 1 << 24) continue;
      for (const Shape &shape : shapes) {
        if (!is_usable(shape, model.shared_memory, static_cast<int>(element))) continue;
        ProductPlan plan = place_tiles(cut, shape, model.shared_memory, static_cast<int>(element));
        if (!plan.tile_u) continue;
        split_hills(plan, model, hills, element);
        if (plan.seconds < best.seconds) best = plan;
      }
    }
  if (!best.tile_u)
    throw Failure(CUFES_INVALID_ARGUMENT,
                  "the grid has too many points along one axis for the separable path");
  return best;
}

template <typename Real>
class Separable {
 public:
  Separable(Call<Real> &call, const Surface<Real> &surface)
      : call_(call),
        surface_(surface),
        grid_(*surface.grid),
        plan_(
            plan_product(call.model(), grid_.points, grid_.ndim, call.hills().count, sizeof(Real))),
        slab_rows_(fit_slab()),
        slab_(std::min(slab_rows_, plan_.cut.rows[0]) * plan_.cut.rows[1] * plan_.cut.rows[2]),
        chunk_(fit_chunk()),
        logarithm_(call, slab_) {}

  void run() {
    call_.progress().expect(static_cast<double>(surface_.size) * call_.hills().count *
                            (surface_.gradient ? 1 + grid_.ndim : 1));
    const std::int64_t row = surface_.size / plan_.cut.rows[0];
    for (std::int64_t u = 0; u < plan_.cut.rows[0]; u += slab_rows_) {
      const std::int64_t rows = std::min(slab_rows_, plan_.cut.rows[0] - u);
      sum_slab(u, rows, -1, surface_.values + u * row);
      for (int axis = 0; surface_.gradient && axis < grid_.ndim; ++axis)
        sum_slab(u, rows, axis, surface_.gradient + axis * surface_.size + u * row);
    }
    call_.progress().finish();
    call_.run().plan(CUFES_PATH_SEPARABLE, describe());
  }

 private:
  std::string describe() const {
    return "separable, " + std::to_string(plan_.tiles()) + " tiles of " +
           std::to_string(plan_.tile_u) + "x" + std::to_string(plan_.tile_v) + "x" +
           std::to_string(plan_.shape.columns) + ", hills in " + std::to_string(plan_.splits) +
           " parts";
  }

  // Rows of the first group whose sums and values fit into memory at a time.
  std::int64_t fit_slab() const {
    const std::int64_t row = surface_.size / plan_.cut.rows[0];
    const double bytes = static_cast<double>(row) * (8.0 * plan_.splits + sizeof(Real) + 4);
    constexpr double small = 64 << 20;
    if (bytes * plan_.cut.rows[0] <= small) return plan_.cut.rows[0];
    const double fit = usable_memory(call_.device()) / 2 / bytes;
    const std::int64_t tiles = static_cast<std::int64_t>(fit / plan_.tile_u);
    if (tiles >= plan_.tiles_u) return plan_.cut.rows[0];
    // Whole tiles; at least one, where the allocation will say what is lacking.
    return std::max<std::int64_t>(1, tiles) * plan_.tile_u;
  }

  // Hills whose tables are in memory at a time: all of them or, so that chunks do not change bits,
  // whole flushes.
  std::int64_t fit_chunk() const {
    const double rows =
        static_cast<double>(plan_.cut.rows[0] + plan_.cut.rows[1] + plan_.cut.rows[2]);
    const std::int64_t unit = std::int64_t{octet} * octets_per_flush * plan_.splits;
    const double fit = most_table_bytes / (rows * sizeof(Real));
    if (call_.given().count <= fit) return call_.given().count;
    return std::max<std::int64_t>(1, static_cast<std::int64_t>(fit / unit)) * unit;
  }

  // One plane: the values (axis -1), or the derivative along an axis.
  void sum_slab(std::int64_t u, std::int64_t rows, int axis, Real *to) {
    const std::int64_t size = rows * plan_.cut.rows[1] * plan_.cut.rows[2];
    const Memory sums = call_.allocate(size * plan_.splits, sizeof(double));
    Result<Real> result(call_, to, size);
    for (std::int64_t first = 0; first < call_.hills().count; first += chunk_)
      add_chunk(u, rows, axis, first, std::min(chunk_, call_.given().count - first),
                sums.template as<double>());
    result.prepare();
    Origin<Real> origin;
    origin.grid = &grid_;
    logarithm_.finish(sums.template as<double>(), size, size, plan_.splits, origin,
                      u * plan_.cut.rows[1] * plan_.cut.rows[2], result.values());
    result.deliver();
  }

  void add_chunk(std::int64_t u, std::int64_t rows, int axis, std::int64_t first,
                 std::int64_t count, double *sums) {
    const Cut &cut = plan_.cut;
    const Memory table_u = make_table(0, cut.v, u, rows, axis, first, count);
    const Memory table_v = make_table(cut.v, cut.w, 0, cut.rows[1], axis, first, count);
    const Memory table_w = make_table(cut.w, grid_.ndim, 0, cut.rows[2], axis, first, count);
    ProductArgs<Real> args{};
    args.u = table_u.template as<Real>();
    args.v = table_v.template as<Real>();
    args.w = table_w.template as<Real>();
    args.rows_u = static_cast<int>(rows);
    args.rows_v = static_cast<int>(cut.rows[1]);
    args.rows_w = static_cast<int>(cut.rows[2]);
    args.tile_u = plan_.tile_u;
    args.tile_v = plan_.tile_v;
    args.tiles_v = static_cast<int>(plan_.tiles_v);
    args.tiles_w = static_cast<int>(plan_.tiles_w);
    args.octets = static_cast<int>(octets_of(count));
    args.octets_per_split =
        static_cast<int>(divide_up(args.octets / plan_.shape.octets, plan_.splits)) *
        plan_.shape.octets;
    args.accumulate = first > 0;
    args.sums = sums;
    args.size = rows * cut.rows[1] * cut.rows[2];
    multiply(args, divide_up(rows, plan_.tile_u) * plan_.tiles_v * plan_.tiles_w, count);
  }

  void multiply(ProductArgs<Real> &args, std::int64_t tiles, std::int64_t count) {
    const double seconds = static_cast<double>(plan_.shape.rows) * plan_.shape.columns * count /
                           call_.model().matrix_rate;
    const int rows = plan_.tile_u + plan_.tile_v + plan_.shape.columns;
    const int shared = barrier_bytes + stage_bytes(plan_.shape, rows, sizeof(Real));
    // Whole waves of blocks.
    const std::int64_t wave = call_.model().multiprocessors;
    const std::int64_t at_once = std::min(
        most_blocks,
        std::max<std::int64_t>(1, static_cast<std::int64_t>(seconds_per_launch / seconds / wave)) *
            wave);
    for (args.first_tile = 0; args.first_tile < tiles; args.first_tile += at_once) {
      const std::int64_t part = std::min<std::int64_t>(at_once, tiles - args.first_tile);
      call_.launch(plan_.shape.kernel, dim3(part, plan_.splits), args, shared);
      call_.progress().launched(static_cast<double>(args.size) * count * part / tiles);
    }
  }

  // Whole stages of the product; what fills them up are zeros.
  std::int64_t octets_of(std::int64_t count) const {
    return divide_up(count, octet * plan_.shape.octets) * plan_.shape.octets;
  }

  // The factors of a group of axes. The first group carries the heights.
  Memory make_table(int begin, int end, std::int64_t row, std::int64_t rows, int axis,
                    std::int64_t first, std::int64_t count) {
    const std::int64_t octets = octets_of(count);
    Memory table = call_.allocate(octets * octet * rows, sizeof(Real));
    FactorArgs<Real> args{};
    args.hills = call_.hills();
    for (int i = 0; i < grid_.ndim; ++i) {
      args.lower[i] = grid_.lower[i];
      args.spacing[i] = grid_.spacing[i];
      args.points[i] = static_cast<int>(grid_.points[i]);
    }
    args.first_axis = begin;
    args.end_axis = end;
    args.slope_axis = axis;
    args.weighted = begin == 0;
    args.logarithmic = logarithm_.active();
    args.largest = logarithm_.largest();
    args.first = first;
    args.end = first + count;
    args.row = row;
    args.rows = rows;
    args.table = table.template as<Real>();
    call_.launch("cufes_factors", dim3(octets), args);
    return table;
  }

  Call<Real> &call_;
  const Surface<Real> &surface_;
  const cufes_grid &grid_;
  ProductPlan plan_;
  std::int64_t slab_rows_, slab_, chunk_;
  Logarithm<Real> logarithm_;
};

}  // namespace

template <typename Real>
void sum_separable(Call<Real> &call, const Surface<Real> &surface) {
  Separable<Real>(call, surface).run();
}

template void sum_separable(Call<double> &, const Surface<double> &);
template void sum_separable(Call<float> &, const Surface<float> &);

}  // namespace cufes
