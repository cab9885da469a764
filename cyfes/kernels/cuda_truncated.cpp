// The truncated path on a CUDA device; see truncated.cuh.
#include <algorithm>

#include "cuda_finish.hpp"
#include "truncated.cuh"

namespace cufes {
namespace {

// Blocks a multiprocessor gets, so that tiles with many hills do not hold up the others.
constexpr std::int64_t blocks_per_multiprocessor = 24;
constexpr double most_sum_bytes = 256 << 20;
// Hills that one launch takes at most, in words of marks: a launch must end soon.
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
    split_hills();
    estimate_reach();
  }

  void run() {
    call_.progress().expect(static_cast<double>(tiles_) * args_.words);
    const Memory marks = mark();
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

  int capacity() const {
    return surface_.gradient ? factor_capacity<true> : factor_capacity<false>;
  }

  // The places of a hill's factors: an even number, half of which is odd, so that the hills of a
  // batch begin in different banks.
  int pitch() const {
    int sum = factor_head;
    for (int i = 0; i < grid_.ndim; ++i) sum += args_.tile[i];
    const int half = (sum + 1) / 2;
    return 2 * (half % 2 ? half : half + 1);
  }

  // As near to a cube as powers of two allow, first of a warp and then of the block; no longer
  // along an axis than the grid needs, nor than the shared memory has room for.
  void lay_tiles() {
    const int ndim = grid_.ndim;
    std::fill_n(args_.lanes, ndim, 1);
    std::fill_n(args_.warps, ndim, 1);
    std::fill_n(args_.tile, ndim, 1);
    const bool two = (ndim == 2 || ndim == 3) && !surface_.gradient;
    static_assert(runs_of<2, false> == 2 && runs_of<3, false> == 2, "as the kernels have it");
    args_.tile[0] = two ? 2 : 1;
    args_.tile[ndim - 1] *= run_length;
    for (int left = 32; left > 1; left /= 2) grow(args_.lanes);
    for (int left = block_size / 32; left > 1; left /= 2) grow(args_.warps);
    tiles_ = 1;
    int layers = 0;
    for (int i = 0; i < ndim; ++i) {
      args_.tiles[i] = static_cast<int>(divide_up(args_.points[i], args_.tile[i]));
      args_.layers[i] = layers;
      layers += args_.tiles[i];
      tiles_ *= args_.tiles[i];
    }
    layers_ = layers;
    args_.pitch = pitch();
    args_.batch = std::min(most_together, capacity() / args_.pitch);
    args_.together = std::max(1, block_size / args_.pitch);
  }

  void grow(int *factors) {
    int shortest = -1;
    for (int i = 0; i < grid_.ndim; ++i) {
      if (args_.tile[i] >= args_.points[i]) continue;
      if (shortest < 0 || args_.tile[i] < args_.tile[shortest]) shortest = i;
    }
    if (shortest < 0) return;
    factors[shortest] *= 2;
    args_.tile[shortest] *= 2;
    // At least four hills together, or it does not pay.
    if (pitch() * 4 <= capacity()) return;
    factors[shortest] /= 2;
    args_.tile[shortest] /= 2;
  }

  void split_hills() {
    args_.words = divide_up(call_.hills().count, 32);
    const std::int64_t words = std::min<std::int64_t>(args_.words, words_per_pass);
    const std::int64_t looks = divide_up(words, words_per_look);
    const std::int64_t wanted =
        divide_up(blocks_per_multiprocessor * call_.model().multiprocessors, tiles_);
    const auto most = static_cast<std::int64_t>(most_sum_bytes / 8 / planes_ / surface_.size);
    const std::int64_t chunks =
        std::max<std::int64_t>(1, std::min({looks, wanted, most, std::int64_t{65535}}));
    args_.words_per_chunk = divide_up(looks, chunks) * words_per_look;
    chunks_ = static_cast<int>(divide_up(words, args_.words_per_chunk));
  }

  // From the widths of the first hill.
  void estimate_reach() {
    const std::vector<Real> sigmas = call_.first_widths();
    for (int i = 0; i < grid_.ndim; ++i) {
      const double length = 2 * reach * sigmas[i] / args_.spacing[i] + args_.tile[i];
      reached_ *= std::min(1.0, length / args_.points[i]);
    }
  }

  Memory mark() {
    Memory marks = call_.allocate(layers_ * args_.words, sizeof(unsigned));
    args_.marks = marks.template as<unsigned>();
    call_.launch("cufes_mark", dim3(divide_up(call_.hills().count, block_size), grid_.ndim), args_);
    return marks;
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
    const Memory sums = call_.allocate_sums(args_.size * planes_ * chunks_);
    args_.sums = sums.template as<double>();
    for (std::int64_t word = 0; word < args_.words; word += words_per_pass) {
      args_.first_word = word;
      args_.end_word = std::min<std::int64_t>(args_.words, word + words_per_pass);
      sum_tiles(layer * rest, (layer + layers) * rest);
    }
    Logarithm<Real> plain(call_, 0);
    for (int plane = 0; plane < planes_; ++plane) {
      Real *to = plane == 0 ? surface_.values : surface_.gradient + (plane - 1) * surface_.size;
      Result<Real> result(call_, to + args_.offset, args_.size);
      plain.finish(args_.sums + plane * args_.size, args_.size * planes_, args_.size, chunks_, {},
                   0, result.values());
      result.deliver();
    }
  }

  void sum_tiles(std::int64_t begin, std::int64_t end) {
    const std::string stem = surface_.gradient ? "cufes_tiles_gradient_" : "cufes_tiles_";
    // 4 operations a point, and as much again for the rest.
    const double seconds = 8.0 * block_size * run_length * planes_ * 32 * reached_ *
                           (args_.end_word - args_.first_word) / call_.model().rate;
    const std::int64_t wave =
        std::max<std::int64_t>(1, 8 * call_.model().multiprocessors / chunks_);
    const std::int64_t at_once = std::min(
        most_blocks, std::max(wave, static_cast<std::int64_t>(seconds_per_launch / seconds)));
    for (args_.first_tile = begin; args_.first_tile < end; args_.first_tile += at_once) {
      const std::int64_t part = std::min<std::int64_t>(at_once, end - args_.first_tile);
      call_.launch(kernel_name(stem, grid_.ndim), dim3(part, chunks_), args_);
      call_.progress().launched(static_cast<double>(part) * (args_.end_word - args_.first_word));
    }
  }

  Call<Real> &call_;
  const Surface<Real> &surface_;
  const cufes_grid &grid_;
  int planes_;
  TileArgs<Real> args_{};
  std::int64_t tiles_ = 1, layers_ = 0;
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
