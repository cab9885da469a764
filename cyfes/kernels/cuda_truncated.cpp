// The truncated path on a CUDA device; see truncated.cuh.
#include <algorithm>
#include <numeric>

#include "cuda_finish.hpp"
#include "truncated.cuh"

namespace cufes {
namespace {

// Blocks a multiprocessor gets, so that tiles with many hills do not hold up the others.
constexpr std::int64_t blocks_per_multiprocessor = 12;
constexpr double most_sum_bytes = 256 << 20;
// The table of the factors of a pass.
constexpr double most_table_bytes = 256 << 20;
// Hills that one pass takes at most, in words of marks: a launch must end soon.
constexpr std::int64_t words_per_pass = 1 << 15;

template <typename Real>
class Truncated {
 public:
  Truncated(Call<Real> &call, const Surface<Real> &surface)
      : call_(call),
        surface_(surface),
        grid_(*surface.grid),
        planes_(surface.gradient ? 1 + grid_.ndim : 1) {
    args_.hills = call.hills();
    for (int i = 0; i < grid_.ndim; ++i) {
      args_.lower[i] = grid_.lower[i];
      args_.spacing[i] = grid_.spacing[i];
      args_.points[i] = static_cast<int>(grid_.points[i]);
    }
    lay_tiles();
    place_factors();
    split_hills();
    estimate_reach();
  }

  void run() {
    call_.progress().expect(static_cast<double>(tiles_) * words_);
    const Memory marks = call_.allocate(layers_ * pass_, sizeof(unsigned));
    const Memory gaps = call_.allocate(layers_ * pass_ * 32, sizeof(float));
    const Memory table = call_.allocate(row_ * numbers_a_place(), sizeof(Real));
    args_.marks = marks.template as<unsigned>();
    args_.gaps = gaps.template as<float>();
    args_.table = table.template as<Real>();
    const std::int64_t rest = tiles_ / args_.tiles[0];
    const std::int64_t layers = fit_layers();
    for (std::int64_t layer = 0; layer < args_.tiles[0]; layer += layers)
      sum_layers(layer, std::min<std::int64_t>(layers, args_.tiles[0] - layer), rest);
    call_.progress().finish();
    call_.run().plan(CUFES_PATH_TRUNCATED, describe());
  }

 private:
  std::string describe() const {
    std::string tile;
    for (int i = 0; i < grid_.ndim; ++i) tile += (i ? "x" : "") + std::to_string(args_.tile[i]);
    return "truncated, " + std::to_string(tiles_) + " tiles of " + tile + ", hills in " +
           std::to_string(chunks_) + " parts";
  }

  bool compiled_dimension() const { return grid_.ndim == 2 || grid_.ndim == 3; }
  int numbers_a_place() const { return surface_.gradient ? numbers_of<true> : numbers_of<false>; }

  int used() const { return std::accumulate(args_.width, args_.width + grid_.ndim, 0); }
  int room() const {
    if (grid_.ndim == 3) return surface_.gradient ? pitch_of<3, true> : pitch_of<3, false>;
    if (grid_.ndim == 2) return surface_.gradient ? pitch_of<2, true> : pitch_of<2, false>;
    return most_pitch;
  }

  // As near to a cube as powers of two allow; no longer along an axis than the grid needs, nor than
  // a record has room for.
  void lay_tiles() {
    const int ndim = grid_.ndim;
    std::fill_n(args_.lanes, ndim, 1);
    std::fill_n(args_.tile, ndim, 1);
    static_assert(runs_of<2, false> == 2 && runs_of<3, false> == 2, "as the kernels have it");
    args_.tile[0] = compiled_dimension() && !surface_.gradient ? 2 : 1;
    args_.tile[ndim - 1] *= run_length;
    for (int i = 0; i < ndim; ++i) args_.width[i] = std::max(args_.tile[i], least_width);
    for (int left = 32; left > 1; left /= 2) double_shortest();
    for (int i = 0; i < ndim; ++i) {
      args_.tiles[i] = static_cast<int>(divide_up(args_.points[i], args_.tile[i]));
      args_.layers[i] = static_cast<int>(layers_);
      layers_ += args_.tiles[i];
      tiles_ *= args_.tiles[i];
    }
    args_.used = used();
    args_.pitch = args_.used + least_width;
    args_.batch = std::min(most_pitch / args_.pitch, most_batch);
  }

  void double_shortest() {
    int shortest = -1;
    for (int i = 0; i < grid_.ndim; ++i) {
      if (args_.tile[i] >= args_.points[i] || used() + args_.tile[i] > room() - least_width)
        continue;
      if (shortest < 0 || args_.tile[i] < args_.tile[shortest]) shortest = i;
    }
    if (shortest < 0) return;
    args_.lanes[shortest] *= 2;
    args_.tile[shortest] *= 2;
    args_.width[shortest] = std::max(args_.tile[shortest], least_width);
  }

  // Numbers of the table for a hill.
  double numbers() const {
    double places = lanes_of<Real>;
    for (int i = 0; i < grid_.ndim; ++i) places += 1.0 * args_.tiles[i] * args_.width[i];
    return places * numbers_a_place();
  }

  void place_factors() {
    words_ = divide_up(call_.hills().count, 32);
    const double bytes = std::min(most_table_bytes, usable_memory(call_.device()) / 4.0);
    const auto fit = static_cast<std::int64_t>(bytes / sizeof(Real) / numbers() / 32);
    pass_ = std::max<std::int64_t>(1, std::min({words_, words_per_pass, fit}));
    args_.heights = 0;
    row_ = pass_ * 32 * lanes_of<Real>;
    for (int i = 0; i < grid_.ndim; ++i) {
      args_.rows[i] = row_;
      row_ += pass_ * 32 * args_.tiles[i] * args_.width[i];
    }
    args_.plane = surface_.gradient ? row_ : 0;
  }

  void split_hills() {
    // The fewest words that are worth a tile's start.
    constexpr std::int64_t unit = 4;
    const std::int64_t units = divide_up(pass_, unit);
    const std::int64_t wanted = divide_up(blocks_per_multiprocessor * call_.model().multiprocessors,
                                          divide_up(tiles_, tiles_per_block));
    const auto most = static_cast<std::int64_t>(most_sum_bytes / 8 / planes_ / surface_.size);
    const std::int64_t chunks =
        std::max<std::int64_t>(1, std::min({units, wanted, most, std::int64_t{65535}}));
    args_.words_per_chunk = divide_up(units, chunks) * unit;
    chunks_ = static_cast<int>(divide_up(pass_, args_.words_per_chunk));
  }

  // From the widths of the first hill.
  void estimate_reach() {
    const std::vector<Real> sigmas = call_.first_widths();
    for (int i = 0; i < grid_.ndim; ++i) {
      const double length = 2 * reach * sigmas[i] / args_.spacing[i] + args_.tile[i];
      reached_ *= std::min(1.0, length / args_.points[i]);
    }
  }

  // The marks and the factors of a pass.
  void prepare(std::int64_t word) {
    args_.first_hill = word * 32;
    args_.words = std::min(pass_, words_ - word);
    call_.launch("cufes_prepare", dim3(divide_up(args_.words * 32, block_size), grid_.ndim), args_);
  }

  // Layers of tiles along the first axis whose sums and values fit into memory at a time.
  std::int64_t fit_layers() const {
    const double row = static_cast<double>(surface_.size) / args_.points[0];
    const double bytes = args_.tile[0] * row * planes_ * (8.0 * chunks_ + sizeof(Real));
    constexpr double small = 64 << 20;
    if (bytes * args_.tiles[0] <= small) return args_.tiles[0];
    const double fit = usable_memory(call_.device()) / 2 / bytes;
    return std::max<std::int64_t>(1,
                                  static_cast<std::int64_t>(std::min<double>(fit, args_.tiles[0])));
  }

  void sum_layers(std::int64_t layer, std::int64_t layers, std::int64_t rest) {
    const std::int64_t row = surface_.size / args_.points[0];
    const std::int64_t begin = layer * args_.tile[0];
    const std::int64_t end =
        std::min<std::int64_t>(begin + layers * args_.tile[0], args_.points[0]);
    args_.offset = begin * row;
    args_.size = (end - begin) * row;
    const Memory sums = call_.allocate(args_.size * planes_ * chunks_, sizeof(double));
    args_.sums = sums.template as<double>();
    for (std::int64_t word = 0; word < words_; word += pass_) {
      prepare(word);
      args_.add = word > 0;
      sum_tiles(layer * rest, (layer + layers) * rest);
    }
    Logarithm<Real> plain(call_, 0);
    std::vector<Result<Real>> results;
    std::vector<typename Call<Real>::Delivery> deliveries;
    for (int plane = 0; plane < planes_; ++plane) {
      Real *to = plane == 0 ? surface_.values : surface_.gradient + (plane - 1) * surface_.size;
      results.emplace_back(call_, to + args_.offset, args_.size);
      plain.finish(args_.sums + plane * args_.size, args_.size * planes_, args_.size, chunks_, {},
                   0, results.back().values());
      if (!results.back().on_device()) deliveries.push_back(results.back().delivery());
    }
    for (Result<Real> &result : results) result.prepare();
    if (!deliveries.empty()) call_.download(deliveries);
  }

  void sum_tiles(std::int64_t begin, std::int64_t end) {
    const std::string stem = surface_.gradient ? "cufes_tiles_gradient_" : "cufes_tiles_";
    // 4 operations a point, and as much again for the rest.
    const double seconds = 8.0 * 32 * tiles_per_block * run_length * planes_ * 32 * reached_ *
                           args_.words / call_.model().rate;
    const std::int64_t wave =
        std::max<std::int64_t>(1, 8 * call_.model().multiprocessors / chunks_);
    const std::int64_t blocks = std::min(
        most_blocks, std::max(wave, static_cast<std::int64_t>(seconds_per_launch / seconds)));
    const std::int64_t at_once = blocks * tiles_per_block;
    args_.end_tile = static_cast<unsigned>(end);
    for (std::int64_t tile = begin; tile < end; tile += at_once) {
      args_.first_tile = static_cast<unsigned>(tile);
      const std::int64_t part = std::min(at_once, end - tile);
      call_.launch(kernel_name(stem, grid_.ndim), dim3(divide_up(part, tiles_per_block), chunks_),
                   args_, 0, 32 * tiles_per_block);
      call_.progress().launched(static_cast<double>(part) * args_.words);
    }
  }

  Call<Real> &call_;
  const Surface<Real> &surface_;
  const cufes_grid &grid_;
  int planes_;
  TileArgs<Real> args_{};
  std::int64_t tiles_ = 1, layers_ = 0;
  std::int64_t words_ = 0, pass_ = 0;  // of marks: of all hills, and of a pass
  std::int64_t row_ = 0;               // numbers of the table of factors
  int chunks_ = 1;
  double reached_ = 1;  // the share of the hills that reach a tile, about
};

}  // namespace

template <typename Real>
void sum_truncated(Call<Real> &call, const Surface<Real> &surface) {
  Truncated<Real>(call, surface).run();
}

template void sum_truncated(Call<double> &, const Surface<double> &);
template void sum_truncated(Call<float> &, const Surface<float> &);

}  // namespace cufes
