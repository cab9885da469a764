// Sums of Gaussian hills as CUDA device code, for any precision; FES_f32.cuh names the single one.
//
// For CUDA users: call sum_points or sum_grid from a __global__ function of your own, over arrays
// that are already on the device. A block has `block_size` threads. libcufes launches the same
// code. Plain C++ sees the argument structs alone.
#ifndef CUFES_FES_CUH
#define CUFES_FES_CUH

#include "cufes.h"

namespace cufes {

constexpr int block_size = 256;

// PLUMED's stretched kernel: A exp(-d) + B vanishes at d = cutoff and is 1 at d = 0.
constexpr double stretch_a = 1.00193418799744762399;
constexpr double stretch_b = -0.00193418799744762399;
constexpr double stretch_cutoff = 6.25;
// sqrt(2 cutoff): how many sigma the stretched kernel and the boxed one reach along an axis.
constexpr double reach = 3.5355339059327376;
// exp(-d) is 0 in double precision beyond this d.
constexpr double vanishing = 746.0;

template <typename Real>
struct HillsArgs {
  const Real *centers;
  const Real *sigmas;
  const Real *heights;
  long long count;
  int sigma_stride;  // elements from a hill's widths to the next one's: 0 if shared
  int ndim;
  int kernel;
  int multivariate;  // see cufes_hills
  Real period[CUFES_MAX_DIM];
  Real inverse_period[CUFES_MAX_DIM];  // 0 for an axis that is not periodic
};

// values[chunk, m]: the sum over the hills of one chunk at point m. A second dimension of the
// launch grid runs over chunks, so that few points still fill a device.
template <typename Real>
struct PointsArgs {
  HillsArgs<Real> hills;
  const Real *points;
  long long count;
  long long hills_per_chunk;
  Real *values;
};

template <typename Real>
struct ReduceArgs {
  const Real *partial;  // chunks x count
  long long count;
  int chunks;
  Real *values;
};

// Each block computes one tile of grid points and looks only at the hills that reach it.
template <typename Real>
struct GridArgs {
  HillsArgs<Real> hills;
  const int *boxes;         // or null; see cufes_hills
  int bins[CUFES_MAX_DIM];  // once around a periodic axis, 0 for any other
  double lower[CUFES_MAX_DIM];
  double spacing[CUFES_MAX_DIM];
  int points[CUFES_MAX_DIM];
  int tile[CUFES_MAX_DIM];   // points of a tile along each axis; their product is block_size
  int tiles[CUFES_MAX_DIM];  // tiles along each axis
  unsigned first_tile;       // of a launch
  int more;                  // whether to add to what the arrays hold
  long long offset;  // the point that is written first: the arrays may hold a part of the grid
  long long size;    // points in the arrays
  long long plane;   // from a component of the gradient to the next
  Real *values;
  Real *gradient;  // or null
};

#ifdef __CUDACC__

// All threads take the same branch, which is cheaper than rounding for nothing.
template <typename Real>
__device__ inline Real minimum_image(Real difference, Real period, Real inverse_period) {
  if (inverse_period != Real(0)) difference -= period * rint(difference * inverse_period);
  return difference;
}

__device__ inline float exponential(float x) { return expf(x); }
__device__ inline double exponential(double x) { return exp(x); }

// What a hill of height 1 adds at half the squared distance d, and `slope` = -dvalue/dd.
template <typename Real>
__device__ inline Real kernel_value(int kernel, Real d, Real &slope) {
  slope = exponential(-d);
  if (kernel != CUFES_STRETCHED_GAUSSIAN) return slope;
  if (d >= Real(stretch_cutoff)) return slope = Real(0);
  slope *= Real(stretch_a);
  return slope + Real(stretch_b);
}

// D = 0 stands for a dimension that is known at run time only.
template <int D>
__device__ inline int dimension(int ndim) {
  return D > 0 ? D : ndim;
}

// Unrolled for a known dimension; unrolling the general case would only swell the code.
#define CUFES_PRAGMA(text) _Pragma(#text)
#define CUFES_UNROLL(D) CUFES_PRAGMA(unroll(D > 0 ? D : 1))

template <int D>
constexpr int storage = D > 0 ? D : CUFES_MAX_DIM;

// How many numbers describe the widths of a hill at most.
template <int D>
constexpr int shape = storage<D> * (storage<D> + 1) / 2;

// Shared memory is 48 KiB a block on every GPU; the general case must fit too.
template <int D>
constexpr int batch = D > 0 ? block_size : 32;

// Hills in shared memory.
template <typename Real, int D>
struct Batch {
  Real center[batch<D>][storage<D>];
  Real inverse_sigma[batch<D>][shape<D>];  // or the elements of L
  Real height[batch<D>];
};

template <typename Real, int D>
__device__ inline void load_hill(const HillsArgs<Real> &hills, long long n, Batch<Real, D> &to,
                                 int slot) {
  const int ndim = dimension<D>(hills.ndim);
  const Real *sigma = hills.sigmas + n * hills.sigma_stride;
  CUFES_UNROLL(D)
  for (int i = 0; i < ndim; ++i) {
    to.center[slot][i] = hills.centers[n * ndim + i];
    if (!hills.multivariate) to.inverse_sigma[slot][i] = Real(1) / sigma[i];
  }
  if (hills.multivariate)
    for (int k = 0; k < ndim * (ndim + 1) / 2; ++k) to.inverse_sigma[slot][k] = sigma[k];
  to.height[slot] = hills.heights[n];
}

// x - center in the hill's own units, u = L^T (x - center) or along each axis over sigma: d is half
// its square.
template <typename Real, int D>
__device__ inline void whiten(const HillsArgs<Real> &hills, const Batch<Real, D> &from, int slot,
                              const Real *x, Real *u) {
  const int ndim = dimension<D>(hills.ndim);
  const Real *width = from.inverse_sigma[slot];
  CUFES_UNROLL(D)
  for (int i = 0; i < ndim; ++i)
    u[i] = minimum_image(x[i] - from.center[slot][i], hills.period[i], hills.inverse_period[i]) *
           (hills.multivariate ? Real(1) : width[i]);
  if (!hills.multivariate) return;
  // In place: element j needs the differences from axis j on.
  CUFES_UNROLL(D)
  for (int j = 0; j < ndim; ++j) {
    u[j] *= width[j * (j + 1) / 2 + j];
    CUFES_UNROLL(D)
    for (int i = j + 1; i < ndim; ++i) u[j] += width[i * (i + 1) / 2 + j] * u[i];
  }
}

// The derivative of -d along axis i: -(L u)_i.
template <typename Real, int D>
__device__ inline Real slope_along(const HillsArgs<Real> &hills, const Batch<Real, D> &from,
                                   int slot, const Real *u, int i) {
  const Real *width = from.inverse_sigma[slot];
  if (!hills.multivariate) return -u[i] * width[i];
  Real sum = 0;
  CUFES_UNROLL(D)
  for (int j = 0; j <= i; ++j) sum -= width[i * (i + 1) / 2 + j] * u[j];
  return sum;
}

// Half the squared distance, in sigmas, from x to the hill in `slot`.
template <typename Real, int D>
__device__ inline Real half_square(const HillsArgs<Real> &hills, const Batch<Real, D> &from,
                                   int slot, const Real *x) {
  Real u[storage<D>];
  whiten(hills, from, slot, x, u);
  Real sum = 0;
  CUFES_UNROLL(D)
  for (int i = 0; i < dimension<D>(hills.ndim); ++i) sum += u[i] * u[i];
  return Real(0.5) * sum;
}

// The part of the hills that a block adds up, and the point of a thread.
template <typename Real, int D>
struct Place {
  long long begin, end;
  long long point;
  bool active;
  Real x[storage<D>];
};

template <typename Real, int D>
__device__ inline Place<Real, D> find_place(const PointsArgs<Real> &args) {
  Place<Real, D> place;
  place.begin = blockIdx.y * args.hills_per_chunk;
  place.end = min(place.begin + args.hills_per_chunk, args.hills.count);
  place.point = blockIdx.x * static_cast<long long>(block_size) + threadIdx.x;
  place.active = place.point < args.count;
  const int ndim = dimension<D>(args.hills.ndim);
  CUFES_UNROLL(D)
  for (int i = 0; i < ndim; ++i)
    place.x[i] = place.active ? args.points[place.point * ndim + i] : Real(0);
  return place;
}

// Loads the next hills from `first` on and returns how many. The caller synchronizes before the
// next.
template <typename Real, int D>
__device__ inline int load_batch(const HillsArgs<Real> &hills, long long first, long long end,
                                 Batch<Real, D> &loaded) {
  const int filled = static_cast<int>(min(static_cast<long long>(batch<D>), end - first));
  if (threadIdx.x < filled) load_hill(hills, first + threadIdx.x, loaded, threadIdx.x);
  __syncthreads();
  return filled;
}

template <typename Real, int D>
__device__ inline void sum_points(const PointsArgs<Real> &args) {
  __shared__ Batch<Real, D> loaded;
  const HillsArgs<Real> &hills = args.hills;
  const Place<Real, D> place = find_place<Real, D>(args);
  // In double even for single precision: one addition a batch costs nothing and keeps the error of
  // the sum independent of how many hills there are.
  double total = 0;
  for (long long first = place.begin; first < place.end; first += batch<D>) {
    const int filled = load_batch(hills, first, place.end, loaded);
    Real sum = 0;
#pragma unroll 1
    for (int slot = 0; slot < filled; ++slot) {
      Real slope;
      const Real d = half_square(hills, loaded, slot, place.x);
      sum += loaded.height[slot] * kernel_value(hills.kernel, d, slope);
    }
    total += sum;
    __syncthreads();
  }
  if (place.active) args.values[blockIdx.y * args.count + place.point] = static_cast<Real>(total);
}

// An exponent this far above that of the reference term cannot overflow the sum of a batch.
__device__ inline float headroom(float) { return 80.0f; }
__device__ inline double headroom(double) { return 600.0; }
__device__ inline float lowest(float) { return -1e38f; }
__device__ inline double lowest(double) { return -1e300; }

// The largest exponent h - d of a batch.
template <typename Real, int D>
__device__ inline Real largest_exponent(const HillsArgs<Real> &hills, const Batch<Real, D> &loaded,
                                        int filled, const Real *x) {
  Real largest = loaded.height[0] - half_square(hills, loaded, 0, x);
#pragma unroll 1
  for (int slot = 1; slot < filled; ++slot)
    largest = max(largest, loaded.height[slot] - half_square(hills, loaded, slot, x));
  return largest;
}

// Sum of exp(h - d - reference) over a batch; false if a term left the headroom.
template <typename Real, int D>
__device__ inline bool add_exponentials(const HillsArgs<Real> &hills, const Batch<Real, D> &loaded,
                                        int filled, const Real *x, Real reference, Real &sum) {
  bool fits = true;
  sum = 0;
#pragma unroll 1
  for (int slot = 0; slot < filled; ++slot) {
    const Real exponent = loaded.height[slot] - half_square(hills, loaded, slot, x) - reference;
    fits = fits && exponent <= headroom(exponent);
    sum += exponential(exponent);
  }
  return fits;
}

// The same for CUFES_LOG_GAUSSIAN: the sum is kept in units of exp(reference), the largest term of
// the first batch. Where a later term is too large for that, it becomes the reference.
template <typename Real, int D>
__device__ inline void log_sum_points(const PointsArgs<Real> &args) {
  __shared__ Batch<Real, D> loaded;
  const HillsArgs<Real> &hills = args.hills;
  const Place<Real, D> place = find_place<Real, D>(args);
  // Below any exponent: the first batch sets it.
  Real reference = lowest(Real(0));
  double total = 0;
  for (long long first = place.begin; first < place.end; first += batch<D>) {
    const int filled = load_batch(hills, first, place.end, loaded);
    Real sum;
    // Twice at most: what is not a number never fits.
#pragma unroll 1
    for (int tries = 0;
         tries < 2 && !add_exponentials(hills, loaded, filled, place.x, reference, sum); ++tries) {
      const Real larger = largest_exponent(hills, loaded, filled, place.x);
      total *= exponential(reference - larger);
      reference = larger;
    }
    total += sum;
    __syncthreads();
  }
  if (place.active)
    args.values[blockIdx.y * args.count + place.point] = static_cast<Real>(reference + log(total));
}

template <typename Real>
__device__ inline void reduce_chunks(const ReduceArgs<Real> &args) {
  const long long m = blockIdx.x * static_cast<long long>(block_size) + threadIdx.x;
  if (m >= args.count) return;
  double total = 0;
#pragma unroll 4
  for (int chunk = 0; chunk < args.chunks; ++chunk) total += args.partial[chunk * args.count + m];
  args.values[m] = static_cast<Real>(total);
}

template <typename Real>
__device__ inline void log_reduce_chunks(const ReduceArgs<Real> &args) {
  const long long m = blockIdx.x * static_cast<long long>(block_size) + threadIdx.x;
  if (m >= args.count) return;
  double largest = args.partial[m];
#pragma unroll 1
  for (int chunk = 1; chunk < args.chunks; ++chunk)
    largest = max(largest, static_cast<double>(args.partial[chunk * args.count + m]));
  double total = 0;
#pragma unroll 1
  for (int chunk = 0; chunk < args.chunks; ++chunk)
    total += exp(args.partial[chunk * args.count + m] - largest);
  args.values[m] = static_cast<Real>(largest + log(total));
}

// The tile of a block: its first point along each axis and, in the axes' units, its middle and half
// its extent.
template <typename Real, int D>
struct Tile {
  int first[storage<D>];
  Real middle[storage<D>];
  Real half[storage<D>];
};

template <typename Real, int D>
__device__ inline void place_tile(const GridArgs<Real> &args, Tile<Real, D> &tile) {
  unsigned rest = args.first_tile + blockIdx.x;
  CUFES_UNROLL(D)
  for (int i = dimension<D>(args.hills.ndim) - 1; i >= 0; --i) {
    tile.first[i] = (rest % args.tiles[i]) * args.tile[i];
    rest /= args.tiles[i];
    const int last = min(tile.first[i] + args.tile[i], args.points[i]) - 1;
    const double half = 0.5 * (last - tile.first[i]);
    tile.middle[i] = static_cast<Real>(args.lower[i] + (tile.first[i] + half) * args.spacing[i]);
    tile.half[i] = static_cast<Real>(half * args.spacing[i]);
  }
}

// The box of a hill against a tile, along each axis.
template <int D>
struct BinBox {
  int start[storage<D>];  // from the first point of the box to that of the tile
  int length[storage<D>];
};

// Whether hills end at boxes of bins: their own, or those of the boxed kernel.
template <typename Real>
__device__ inline bool has_boxes(const GridArgs<Real> &args) {
  return args.boxes || args.hills.kernel == CUFES_BOXED_GAUSSIAN;
}

// The ends of the box of hill n along axis i. In double, which is exact here and never overflows.
template <typename Real, int D>
__device__ inline void find_box(const GridArgs<Real> &args, long long n, int i, double &first,
                                double &length) {
  const HillsArgs<Real> &hills = args.hills;
  const long long at = n * dimension<D>(hills.ndim) + i;
  if (args.boxes) {
    first = args.boxes[2 * at];
    length = args.boxes[2 * at + 1] - first + 1;
    return;
  }
  const double sigma = hills.sigmas[n * hills.sigma_stride + i];
  const double width = ceil(reach * sigma / args.spacing[i]);
  first = floor((hills.centers[at] - args.lower[i]) / args.spacing[i]) - width;
  length = 2 * width + 1;
  // Such a hill counts once, however far its box goes around.
  if (args.bins[i] > 0) length = min(length, static_cast<double>(args.bins[i]));
}

// Whether the box of hill n has points in the tile; if so, it is in `box`.
template <typename Real, int D>
__device__ inline bool box_reaches(const GridArgs<Real> &args, const Tile<Real, D> &tile,
                                   long long n, BinBox<D> &box) {
  CUFES_UNROLL(D)
  for (int i = 0; i < dimension<D>(args.hills.ndim); ++i) {
    const double bins = args.bins[i];
    double first, length;
    find_box<Real, D>(args, n, i, first, length);
    double start = tile.first[i] - first;
    if (bins > 0) start -= bins * floor(start / bins);
    // Or else it begins further on in the tile.
    const double ahead = bins - start;
    const bool meets = (start >= 0 && start < length) || (ahead >= 0 && ahead < args.tile[i]);
    if (!meets || length <= 0) return false;
    box.start[i] = static_cast<int>(start);
    box.length[i] = static_cast<int>(length);
  }
  return true;
}

// How often a box comes by a grid point.
template <typename Real, int D>
__device__ inline int times_in_box(const GridArgs<Real> &args, const BinBox<D> &box,
                                   const Tile<Real, D> &tile, const int *index) {
  int times = 1;
  CUFES_UNROLL(D)
  for (int i = 0; i < dimension<D>(args.hills.ndim); ++i) {
    const int bins = args.bins[i];
    const int length = box.length[i];
    int place = box.start[i] + (index[i] - tile.first[i]);
    if (bins > 0 && place >= bins) place -= bins;
    if (place < 0 || place >= length) return 0;
    if (bins > 0 && length > bins) times *= 1 + (length - 1 - place) / bins;
  }
  return times;
}

// Whether hill n can add anything in the tile. Errs on the side of yes: each point decides exactly.
template <typename Real, int D>
__device__ inline bool reaches(const GridArgs<Real> &args, const Tile<Real, D> &tile, long long n,
                               BinBox<D> &box) {
  const HillsArgs<Real> &hills = args.hills;
  const int ndim = dimension<D>(hills.ndim);
  if (has_boxes(args) && !box_reaches(args, tile, n, box)) return false;
  if (hills.multivariate || hills.kernel == CUFES_BOXED_GAUSSIAN) return true;
  const Real limit =
      Real(hills.kernel == CUFES_GAUSSIAN ? vanishing : stretch_cutoff) * Real(1.001);
  Real sum = 0;
  CUFES_UNROLL(D)
  for (int i = 0; i < ndim; ++i) {
    const Real sigma = hills.sigmas[n * hills.sigma_stride + i];
    const Real offset = fabs(minimum_image(hills.centers[n * ndim + i] - tile.middle[i],
                                           hills.period[i], hills.inverse_period[i]));
    const Real gap = max(offset - tile.half[i], Real(0)) / sigma;
    sum += gap * gap;
  }
  return Real(0.5) * sum < limit;
}

// The slot of each thread that `keep`s, in the order of the threads, and the number of all of them.
// The order makes a sum the same bits on every run.
__device__ inline int compact(bool keep, int &kept) {
  __shared__ int in_warp[block_size / 32];
  const unsigned lane = threadIdx.x % 32;
  const unsigned warp = threadIdx.x / 32;
  const unsigned votes = __ballot_sync(0xffffffffu, keep);
  if (lane == 0) in_warp[warp] = __popc(votes);
  __syncthreads();
  int before = 0;
  kept = 0;
  for (unsigned w = 0; w < block_size / 32; ++w) {
    if (w == warp) before = kept;
    kept += in_warp[w];
  }
  return before + __popc(votes & ((1u << lane) - 1));
}

template <typename Real, int D, bool GRADIENT>
__device__ inline void add_hill(const GridArgs<Real> &args, const Batch<Real, D> &from, int slot,
                                int times, const Real *x, Real &value, Real *gradient) {
  const HillsArgs<Real> &hills = args.hills;
  const int ndim = dimension<D>(hills.ndim);
  Real u[storage<D>], d = 0;
  whiten(hills, from, slot, x, u);
  CUFES_UNROLL(D)
  for (int i = 0; i < ndim; ++i) d += Real(0.5) * u[i] * u[i];
  if (hills.kernel == CUFES_STRETCHED_GAUSSIAN && d >= Real(stretch_cutoff)) return;
  const Real height = from.height[slot] * static_cast<Real>(times);
  Real slope;
  value += height * kernel_value(hills.kernel, d, slope);
  if constexpr (GRADIENT) {
    if (!args.gradient) return;
    CUFES_UNROLL(D)
    for (int i = 0; i < ndim; ++i)
      gradient[i] += height * slope * slope_along(hills, from, slot, u, i);
  }
}

// The grid point of a thread: its indices, coordinates and place in the row-major grid.
template <typename Real, int D>
__device__ inline bool place_point(const GridArgs<Real> &args, const Tile<Real, D> &tile,
                                   int *index, Real *x, long long &offset) {
  unsigned rest = threadIdx.x;
  long long stride = 1;
  bool inside = true;
  offset = -args.offset;
  CUFES_UNROLL(D)
  for (int i = dimension<D>(args.hills.ndim) - 1; i >= 0; --i) {
    index[i] = tile.first[i] + rest % args.tile[i];
    rest /= args.tile[i];
    inside = inside && index[i] < args.points[i];
    x[i] = static_cast<Real>(args.lower[i] + index[i] * args.spacing[i]);
    offset += index[i] * stride;
    stride *= args.points[i];
  }
  return inside;
}

template <typename Real>
__device__ inline void add_total(const GridArgs<Real> &args, double total, Real &to) {
  to = static_cast<Real>(args.more ? to + total : total);
}

template <typename Real, int D, bool GRADIENT>
__device__ inline void sum_grid(const GridArgs<Real> &args) {
  __shared__ Batch<Real, D> loaded;
  __shared__ BinBox<D> boxes[batch<D>];
  __shared__ unsigned char near[block_size];
  const int ndim = dimension<D>(args.hills.ndim);
  Tile<Real, D> tile;
  place_tile(args, tile);
  int index[storage<D>];
  Real x[storage<D>];
  long long offset;
  const bool inside = place_point(args, tile, index, x, offset);

  double total = 0;
  double total_gradient[storage<D>] = {};
  // Each thread looks at a hill; those that reach the tile are summed batch after batch.
  for (long long first = 0; first < args.hills.count; first += block_size) {
    const long long n = first + threadIdx.x;
    BinBox<D> box;
    const bool keep = n < args.hills.count && reaches(args, tile, n, box);
    int kept;
    const int slot = compact(keep, kept);
    if (keep) near[slot] = threadIdx.x;
    __syncthreads();
    for (int from = 0; from < kept; from += batch<D>) {
      const int filled = min(batch<D>, kept - from);
      if (threadIdx.x < filled) {
        const long long own = first + near[from + threadIdx.x];
        load_hill(args.hills, own, loaded, threadIdx.x);
        if (has_boxes(args)) box_reaches(args, tile, own, boxes[threadIdx.x]);
      }
      __syncthreads();
      Real sum = 0;
      Real sum_gradient[storage<D>] = {};
      // The points of a tile disagree on which hills they are within reach of; unrolling gains
      // nothing.
#pragma unroll 1
      for (int k = 0; k < filled; ++k) {
        const int times = has_boxes(args) ? times_in_box(args, boxes[k], tile, index) : 1;
        if (times == 0) continue;
        add_hill<Real, D, GRADIENT>(args, loaded, k, times, x, sum, sum_gradient);
      }
      total += sum;
      if constexpr (GRADIENT) CUFES_UNROLL(D)
      for (int i = 0; i < ndim; ++i) total_gradient[i] += sum_gradient[i];
      __syncthreads();
    }
  }
  if (!inside) return;
  add_total(args, total, args.values[offset]);
  if (!args.gradient) return;
  if constexpr (GRADIENT) CUFES_UNROLL(D)
  for (int i = 0; i < ndim; ++i)
    add_total(args, total_gradient[i], args.gradient[i * args.plane + offset]);
}

#endif  // __CUDACC__

}  // namespace cufes

#endif  // CUFES_FES_CUH
