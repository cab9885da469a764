// Grids on a CUDA device hill by hill: the direct path, and hills in boxes of bins.
#include <algorithm>
#include <cmath>

#include "cuda_call.hpp"

namespace cufes {
namespace {

// Hills that one launch takes at most: it must end soon, however few tiles there are.
constexpr std::int64_t hills_per_pass = 1 << 14;

// Tiles as near to a cube as powers of two allow, longest along the last axis, where neighbouring
// threads write neighbouring numbers; no longer along an axis than the grid needs.
template <typename Real>
std::int64_t lay_tiles(GridArgs<Real> &args) {
  const int ndim = args.hills.ndim;
  std::fill(args.tile, args.tile + ndim, 1);
  for (int left = block_size; left > 1; left /= 2) {
    int shortest = -1;
    for (int i = ndim - 1; i >= 0; --i) {
      if (args.tile[i] >= args.points[i]) continue;
      if (shortest < 0 || args.tile[i] < args.tile[shortest]) shortest = i;
    }
    args.tile[shortest < 0 ? ndim - 1 : shortest] *= 2;
  }
  std::int64_t tiles = 1;
  for (int i = 0; i < ndim; ++i) {
    args.tiles[i] = static_cast<int>(divide_up(args.points[i], args.tile[i]));
    tiles *= args.tiles[i];
  }
  return tiles;
}

template <typename Real>
GridArgs<Real> make_args(const cufes_grid &grid, const Call<Real> &call) {
  GridArgs<Real> args{};
  args.hills = call.hills();
  args.boxes = call.boxes();
  for (int i = 0; i < grid.ndim; ++i) {
    args.lower[i] = grid.lower[i];
    args.spacing[i] = grid.spacing[i];
    args.points[i] = static_cast<int>(grid.points[i]);
    args.bins[i] = static_cast<int>(std::lround(call.given().periods[i] / grid.spacing[i]));
  }
  return args;
}

// The same for some of the hills, which are added to those before them.
template <typename Real>
GridArgs<Real> some_hills(const GridArgs<Real> &all, std::int64_t first, std::int64_t count) {
  GridArgs<Real> args = all;
  args.hills.count = count;
  args.hills.centers += first * args.hills.ndim;
  args.hills.sigmas += first * args.hills.sigma_stride;
  args.hills.heights += first;
  if (args.boxes) args.boxes += 2 * first * args.hills.ndim;
  args.more = first > 0;
  return args;
}

// Launches over the tiles from `begin` to `end`, a pass of hills at a time.
template <typename Real>
void launch_tiles(Call<Real> &call, const GridArgs<Real> &all, std::int64_t begin,
                  std::int64_t end) {
  for (std::int64_t hill = 0; hill < all.hills.count; hill += hills_per_pass) {
    GridArgs<Real> args =
        some_hills(all, hill, std::min<std::int64_t>(hills_per_pass, all.hills.count - hill));
    const double seconds = 80.0 * block_size * args.hills.count / call.model().rate;
    const std::int64_t wave = 4 * call.model().multiprocessors;
    const std::int64_t at_once = std::min(
        most_blocks, std::max(wave, static_cast<std::int64_t>(seconds_per_launch / seconds)));
    for (std::int64_t tile = begin; tile < end; tile += at_once) {
      const std::int64_t part = std::min<std::int64_t>(at_once, end - tile);
      args.first_tile = static_cast<unsigned>(tile);
      call.launch("cufes_grid_hills", dim3(part), args);
      call.progress().launched(static_cast<double>(part) * args.hills.count);
    }
  }
}

// Values, and a gradient if there is one, for layers of tiles that fit into memory at a time.
template <typename Real>
void sum_layers(Call<Real> &call, const Surface<Real> &surface, GridArgs<Real> &args,
                std::int64_t tiles) {
  const int planes = surface.gradient ? args.hills.ndim : 0;
  const std::int64_t row = surface.size / args.points[0];
  const std::int64_t rest = tiles / args.tiles[0];
  const double bytes = static_cast<double>(args.tile[0]) * row * (1 + planes) * sizeof(Real);
  constexpr double small = 64 << 20;
  const double fit =
      bytes * args.tiles[0] <= small ? args.tiles[0] : usable_memory(call.device()) / 2 / bytes;
  const auto layers =
      static_cast<std::int64_t>(std::max(1.0, std::min<double>(fit, args.tiles[0])));
  for (std::int64_t layer = 0; layer < args.tiles[0]; layer += layers) {
    const std::int64_t end = std::min<std::int64_t>(layer + layers, args.tiles[0]);
    const std::int64_t last = std::min<std::int64_t>(end * args.tile[0], args.points[0]);
    args.offset = layer * args.tile[0] * row;
    args.size = last * row - args.offset;
    Result<Real> values(call, surface.values + args.offset, args.size);
    // In the caller's memory of the device the planes of the gradient are as far apart as the grid
    // is large.
    const bool in_place = call.run().device_memory();
    const Memory slopes = call.allocate(in_place ? 0 : args.size * planes, sizeof(Real));
    args.values = values.values();
    args.gradient = nullptr;
    if (surface.gradient)
      args.gradient = in_place ? surface.gradient + args.offset : slopes.template as<Real>();
    args.plane = in_place ? surface.size : args.size;
    launch_tiles(call, args, layer * rest, end * rest);
    if (in_place) continue;
    std::vector<typename Call<Real>::Delivery> deliveries{values.delivery()};
    for (int i = 0; i < planes; ++i)
      deliveries.push_back({args.gradient + i * args.size,
                            surface.gradient + i * surface.size + args.offset,
                            args.size * sizeof(Real)});
    for (const auto &each : deliveries) touch(each.to, each.bytes);
    call.download(deliveries);
  }
}

}  // namespace

template <typename Real>
void sum_grid_directly(Call<Real> &call, const Surface<Real> &surface) {
  cufes_path path = CUFES_PATH_DIRECT;
  std::string words = "direct, every hill at every point";
  if (!surface.gradient && !call.boxes()) {
    call.progress().expect(static_cast<double>(surface.size) * call.given().count);
    sum_grid_points(call, surface);
  } else {
    GridArgs<Real> args = make_args(*surface.grid, call);
    const std::int64_t tiles = lay_tiles(args);
    call.progress().expect(static_cast<double>(tiles) * args.hills.count);
    sum_layers(call, surface, args, tiles);
    // Tiles take the hills that reach them alone.
    const bool cut_off = call.given().kernel == CUFES_STRETCHED_GAUSSIAN ||
                         call.given().kernel == CUFES_BOXED_GAUSSIAN;
    if (cut_off && call.run().path() != CUFES_PATH_DIRECT) path = CUFES_PATH_TRUNCATED;
    words =
        (path == CUFES_PATH_DIRECT ? "direct, " : "truncated, ") + std::to_string(tiles) + " tiles";
    if (call.boxes()) words += ", a box for each hill";
  }
  call.progress().finish();
  call.run().plan(path, words);
}

template void sum_grid_directly(Call<double> &, const Surface<double> &);
template void sum_grid_directly(Call<float> &, const Surface<float> &);

}  // namespace cufes
