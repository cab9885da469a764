// A grid cut into tiles, and the hills laid out to be searched for those that reach one.
#ifndef CUFES_CPU_TILING_HPP
#define CUFES_CPU_TILING_HPP

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "cpu.hpp"

namespace cufes {

inline std::int64_t divide_up(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }
inline std::int64_t round_up(std::int64_t a, std::int64_t b) { return divide_up(a, b) * b; }

// How a grid is cut.
struct Tiling {
  std::int64_t extent[CUFES_MAX_DIM];  // points of a whole tile along each axis
  std::int64_t tiles[CUFES_MAX_DIM];   // along each axis
  std::int64_t count = 1;
  std::int64_t rows = 1;     // of a whole tile, in whole blocks
  std::int64_t columns = 0;  // in whole groups
};

// Tiles of about `rows` x `columns`.
Tiling lay_tiles(const cufes_grid &grid, std::int64_t rows, std::int64_t columns);
// So many tiles, or parts of the work, keep the threads of any machine busy to the end. The number
// does not depend on how many there are, and so neither do the bits of the result.
constexpr std::int64_t enough_tiles = 32;
// Smaller ones where there would be too few.
Tiling lay_enough_tiles(const cufes_grid &grid, std::int64_t rows, std::int64_t columns);

// "truncated, 343 tiles of 15x15x16, 2 threads, avx512".
std::string describe(const char *path, const cufes_grid &grid, const Tiling &tiling,
                     const std::string &more = "");

// Where the hills are, in double precision and by axis, padded to whole batches.
class TransposedHills {
 public:
  template <typename Hills>
  explicit TransposedHills(const Hills &hills)
      : count_(hills.count), padded_(round_up(hills.count, batch_hills)) {
    const int ndim = hills.ndim;
    const std::int64_t rows = hills.sigma_rows == 1 ? 1 : padded_;
    centers_.resize(padded_ * ndim);
    inverse_sigmas_.resize(rows * ndim);
    table_.ndim = ndim;
    table_.sigma_stride = hills.sigma_rows == 1 ? 0 : 1;
    table_.log_height = nullptr;
    for (int i = 0; i < ndim; ++i) {
      table_.center[i] = centers_.data() + i * padded_;
      table_.inverse_sigma[i] = inverse_sigmas_.data() + i * rows;
    }
    copy(hills, rows);
  }

  // Adds what bounds need.
  template <typename Hills>
  void take_logarithms(const Hills &hills) {
    log_heights_.assign(padded_, -INFINITY);
    const bool logarithmic = hills.kernel == CUFES_LOG_GAUSSIAN;
#pragma omp parallel for schedule(static)
    for (std::int64_t n = 0; n < count_; ++n) {
      const double height = hills.heights[n];
      log_heights_[n] = logarithmic ? height : std::log(std::fabs(height));
    }
    table_.log_height = log_heights_.data();
  }

  const HillsTable &table() const { return table_; }
  std::int64_t count() const { return count_; }
  std::int64_t padded() const { return padded_; }
  // Which hills of the batch from `first` on come within `limit` of a box, one a bit.
  std::uint64_t within(std::int64_t first, const Box &box, double limit) const {
    const std::uint64_t hits = cpu_kernels().within(table_, first, box, limit);
    const std::int64_t padding = std::max<std::int64_t>(0, first + batch_hills - count_);
    return hits & (~std::uint64_t(0) >> (64 - batch_hills + padding));
  }
  double largest_inverse(int i) const {
    const std::int64_t rows = table_.sigma_stride ? padded_ : 1;
    return *std::max_element(table_.inverse_sigma[i], table_.inverse_sigma[i] + rows);
  }

 private:
  template <typename Hills>
  void copy(const Hills &hills, std::int64_t rows) {
#pragma omp parallel for schedule(static)
    for (std::int64_t n = 0; n < padded_; ++n) {
      const std::int64_t from = std::min(n, count_ - 1);
      for (int i = 0; i < hills.ndim; ++i)
        centers_[i * padded_ + n] = hills.centers[from * hills.ndim + i];
    }
    for (std::int64_t n = 0; n < rows; ++n) {
      const std::int64_t from = std::min(n, hills.sigma_rows - 1);
      double deviations[CUFES_MAX_DIM];
      standard_deviations(hills, hills.sigmas + from * sigma_columns(hills), deviations);
      for (int i = 0; i < hills.ndim; ++i) inverse_sigmas_[i * rows + n] = 1.0 / deviations[i];
    }
  }

  std::int64_t count_, padded_;
  std::vector<double> centers_, inverse_sigmas_, log_heights_;
  HillsTable table_;
};

}  // namespace cufes

#endif  // CUFES_CPU_TILING_HPP
