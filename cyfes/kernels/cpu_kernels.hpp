// The inner loops of the CPU back end, compiled once for each instruction set.
#ifndef CUFES_CPU_KERNELS_HPP
#define CUFES_CPU_KERNELS_HPP

#include <cstdint>

#include "cufes.h"

namespace cufes {

// Points are summed in blocks of as many, one a SIMD lane, so that each point adds up its hills in
// their order whatever the width of a vector.
constexpr int lanes = 64;

// A block of points, the hills that are to be added to it, and its sums so far.
template <typename Real>
struct PointsBlock {
  int ndim;
  bool stretched;
  bool multivariate;
  std::int64_t begin, end;  // of the hills
  std::int64_t sigma_stride;
  const Real *centers;
  const Real *sigmas;
  const Real *heights;
  const Real *times;  // for `gradient`, [hill][lane]: how often a hill counts; null: once
  Real period[CUFES_MAX_DIM];
  Real inverse_period[CUFES_MAX_DIM];
  Real x[CUFES_MAX_DIM][lanes];
  double total[lanes];  // of CUFES_LOG_GAUSSIAN in units of exp(largest)
  double gradient[CUFES_MAX_DIM][lanes];
  Real largest[lanes];
};

// Grids are summed tile by tile, each tile taking the hills in batches of as many: one a bit of a
// word.
constexpr int batch_hills = 64;

// The columns of a tile, along the last axis, come in groups of as many, its rows in blocks.
constexpr int group_columns = 16;
constexpr int block_rows = 8;

// A table of one axis: half squares d, factors exp(-d) and slopes -(x - center) / sigma^2. Along
// the leading axes it is [point][hill], along the last one [group][hill][column].
struct AxisTable {
  double *half_square;
  double *factor;
  double *slope;                // where there is a gradient
  double *point;                // where the points of the axis are
  double nearest[batch_hills];  // the smallest half square of each hill
};

// One axis of a tile.
struct TileAxis {
  double lower;
  double spacing;
  double period_points;   // how many points go once around a periodic axis
  double period;          // 0 for an axis that is not periodic
  double inverse_period;  // likewise
  std::int64_t first;     // the tile's first point
  int extent;             // its points; of the last axis, see TileBatch::columns
};

// A tile of a grid, the batch of hills to be added to it, and the room to do so.
struct TileBatch {
  int ndim;
  bool gradient;
  bool boxed;
  bool stretched;
  bool shifted;  // factors in units of the largest one that a hill has in the tile
  TileAxis axes[CUFES_MAX_DIM];
  int count;  // hills; those behind them have the height 0
  double height[batch_hills];
  double center[CUFES_MAX_DIM][batch_hills];
  double sigma[CUFES_MAX_DIM][batch_hills];
  AxisTable tables[CUFES_MAX_DIM];
  double *group_nearest;  // [group][hill], of the last axis
  double *weights;        // [row][hill], of a block of rows
  int rows;               // whole blocks, if need be beyond the tile
  int columns;            // whole groups
  std::int64_t plane;     // from the values to the next plane of `sums`
  double *sums;           // the values, then the planes of the gradient; rows before columns
};

// All hills, by axis; the memory is padded to whole batches by hills of the height 0.
struct HillsTable {
  int ndim;
  std::int64_t sigma_stride;  // 0: one width for all hills
  const double *center[CUFES_MAX_DIM];
  const double *inverse_sigma[CUFES_MAX_DIM];
  const double *log_height;  // null where nobody asks for bounds
};

// A box of points, half a tile to either side of its middle.
struct Box {
  double middle[CUFES_MAX_DIM];
  double half[CUFES_MAX_DIM];
  double period[CUFES_MAX_DIM];
  double inverse_period[CUFES_MAX_DIM];
};

// The bounds of h exp(-d) in a box, as logarithms, for a batch of hills.
struct Bounds {
  double upper[batch_hills];
  double lower[batch_hills];
};

// What adds hills to a block of points in one precision.
template <typename Real>
struct PointKernels {
  void (*values)(PointsBlock<Real> &block);
  void (*gradient)(PointsBlock<Real> &block);  // and the values
  void (*logarithms)(PointsBlock<Real> &block);
};

struct CpuKernels {
  PointKernels<double> points_f64;
  PointKernels<float> points_f32;
  // Adds a batch of hills to a tile.
  void (*truncated)(TileBatch &batch);
  void (*separable)(TileBatch &batch);
  // Which hills of a batch, from `first` on, come within `limit` of a box: one a bit.
  std::uint64_t (*within)(const HillsTable &hills, std::int64_t first, const Box &box,
                          double limit);
  void (*bounds)(const HillsTable &hills, std::int64_t first, const Box &box, Bounds &bounds);
};

extern const CpuKernels cpu_kernels_baseline;
#if defined(__x86_64__)
extern const CpuKernels cpu_kernels_avx2;
extern const CpuKernels cpu_kernels_avx512;
#endif

}  // namespace cufes

#endif  // CUFES_CPU_KERNELS_HPP
