// The truncated path: kernels with a cut-off, on a grid, by output-stationary tiles.
//
// First each hill marks, axis by axis, the layers of tiles that it reaches: one bit a hill in a
// word a layer. The hills of a tile are then the bits that its layers have in common; 12 bytes
// decide for 32 hills. A block takes them past its tile in batches: it makes the factors of each
// hill along each axis of the tile in shared memory, finds out which warps' parts of the tile the
// hill reaches, and these add products of factors to points that stay in registers.
#ifndef CUFES_TRUNCATED_CUH
#define CUFES_TRUNCATED_CUH

#include "exp.cuh"

namespace cufes {

// Successive points along the last axis that a thread owns.
constexpr int run_length = 8;
// Such runs of a thread, along the first axis: what a hill is along the last one is then read once.
template <int D, bool GRADIENT>
constexpr int runs_of = (D == 2 || D == 3) && !GRADIENT ? 2 : 1;
// Words of marks that are looked at together: their hills' numbers fit 16 bits.
constexpr int words_per_look = 64;
// Hills of a batch: one a lane decides which parts of the tile they reach.
constexpr int most_together = 32;
// Factors of a batch in shared memory; with a gradient there are three numbers for each. There are
// two batches: one is made while the other is being summed.
template <bool GRADIENT>
constexpr int factor_capacity = GRADIENT ? 448 : 1344;
// What a hill's factors are preceded by: its height, and one to keep runs at even places.
constexpr int factor_head = 2;

template <typename Real>
struct TileArgs {
  HillsArgs<Real> hills;
  double lower[CUFES_MAX_DIM];
  double spacing[CUFES_MAX_DIM];
  int points[CUFES_MAX_DIM];
  int tile[CUFES_MAX_DIM];   // points of a tile along each axis: lanes x warps, x runs first, x
                             // run_length last
  int tiles[CUFES_MAX_DIM];  // tiles along each axis
  int lanes[CUFES_MAX_DIM];
  int warps[CUFES_MAX_DIM];
  int layers[CUFES_MAX_DIM];       // where an axis's layers begin among all
  int pitch;                       // factors of a hill in shared memory
  int batch;                       // hills whose factors fit there
  int together;                    // hills whose factors are made at a time
  long long words;                 // of marks a layer
  unsigned *marks;                 // layers of all axes x words
  long long first_word, end_word;  // of a launch
  long long words_per_chunk;       // blockIdx.y counts chunks
  unsigned first_tile;
  long long offset;  // the point that is written first: a part of the grid may be made
  long long size;    // points in the part
  // chunks x size, or chunks x (1 + ndim) x size with a gradient; what is there is added to
  double *sums;
};

#ifdef __CUDACC__

// How far hill n reaches along axis i, in grid points from `at`, erring on the side of more.
template <typename Real>
__device__ inline double reach_in_points(const TileArgs<Real> &args, long long n, int i) {
  const double sigma = args.hills.sigmas[n * args.hills.sigma_stride + i];
  const double points = reach * sigma / args.spacing[i];
  return args.hills.kernel == CUFES_BOXED_GAUSSIAN ? ceil(points) + 1 : points * 1.001 + 1e-3;
}

// A thread takes a hill along an axis, blockIdx.y; a warp writes the word of its hills.
template <typename Real>
__device__ inline void mark_layers(const TileArgs<Real> &args) {
  const int i = blockIdx.y;
  const long long n = blockIdx.x * static_cast<long long>(block_size) + threadIdx.x;
  const long long word = n / 32;
  if (word >= args.words) return;
  const bool there = n < args.hills.count;
  const double center = there ? args.hills.centers[n * args.hills.ndim + i] : 0;
  const double at = (center - args.lower[i]) / args.spacing[i];
  const double far = there ? reach_in_points(args, n, i) : -1;
  const bool periodic = args.hills.inverse_period[i] > 0;
  const double wrap = args.hills.period[i] / args.spacing[i];
#pragma unroll 1
  for (int layer = 0; layer < args.tiles[i]; ++layer) {
    const int first = layer * args.tile[i];
    const double half = 0.5 * (min(first + args.tile[i], args.points[i]) - 1 - first);
    double distance = at - (first + half);
    if (periodic) distance -= wrap * rint(distance / wrap);
    // Not "greater": what is not a number is marked, and seen in the sum.
    const bool reached = there && !(fabs(distance) > far + half);
    const unsigned word_bits = __ballot_sync(0xffffffffu, reached);
    if (threadIdx.x % 32 == 0) args.marks[(args.layers[i] + layer) * args.words + word] = word_bits;
  }
}

// Where a block and a thread are.
template <typename Real, int D>
struct Spot {
  Tile<Real, D> tile;
  int layer[storage<D>];
  int local[storage<D>];        // the thread's point in the tile; the first of its run, last
  int part[storage<D>];         // where the warp's part of the tile begins
  int extent[storage<D>];       // and how long it is
  int offset[storage<D>];       // where an axis's factors begin
  int place[storage<D>];        // bytes to the factors of the thread's point
  int run_step;                 // and from one run's to the next's, along the first axis
  bool idle_warp, idle;         // beyond the grid, or more threads than a small tile has points
  float middle[storage<D>];     // of the warp's part, from the middle of the tile
  float half[storage<D>];       // its extent to both sides, and some slack
  int first_entry, first_hill;  // of those that a thread fills
};

template <typename Real, int D, int RUNS>
__device__ inline void find_spot(const TileArgs<Real> &args, Spot<Real, D> &spot) {
  const int ndim = dimension<D>(args.hills.ndim);
  unsigned rest = args.first_tile + blockIdx.x;
  unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  int offset = args.pitch;
  spot.idle_warp = spot.idle = false;
  CUFES_UNROLL(D)
  for (int i = ndim - 1; i >= 0; --i) {
    spot.layer[i] = rest % args.tiles[i];
    rest /= args.tiles[i];
    const int run = i == ndim - 1 ? run_length : 1;
    spot.extent[i] = args.lanes[i] * run * (i == 0 ? RUNS : 1);
    spot.part[i] = warp % args.warps[i] * spot.extent[i];
    spot.local[i] = spot.part[i] + lane % args.lanes[i] * run;
    lane /= args.lanes[i];
    warp /= args.warps[i];
    offset -= args.tile[i];
    spot.offset[i] = offset;
    spot.place[i] = (offset + spot.local[i]) * static_cast<int>(sizeof(Real));
    const int first = spot.layer[i] * args.tile[i];
    const double half = 0.5 * (min(first + args.tile[i], args.points[i]) - 1 - first);
    spot.tile.first[i] = first;
    spot.tile.middle[i] = static_cast<Real>(args.lower[i] + (first + half) * args.spacing[i]);
    spot.tile.half[i] = static_cast<Real>(half * args.spacing[i]);
    spot.half[i] =
        static_cast<float>(0.5 * (spot.extent[i] - 1) * args.spacing[i]) + slack(args, i);
    spot.middle[i] =
        static_cast<float>((spot.part[i] + 0.5 * (spot.extent[i] - 1) - half) * args.spacing[i]);
    spot.idle_warp = spot.idle_warp || first + spot.part[i] >= args.points[i];
    spot.idle = spot.idle || first + spot.local[i] >= args.points[i];
  }
  spot.run_step = args.lanes[0] * static_cast<int>(sizeof(Real));
  // A pitch of more than a block makes one hill after the other.
  spot.first_hill = threadIdx.x / args.pitch;
  spot.first_entry = spot.first_hill < args.together ? threadIdx.x % args.pitch : args.pitch;
  spot.idle_warp = spot.idle_warp || warp > 0;
  spot.idle = spot.idle || spot.idle_warp || lane > 0;
}

// The numbers, relative to 32 `first_word`, of the hills that all layers of the tile have in
// common, in order; returns how many.
template <typename Real, int D>
__device__ inline int list_hills(const TileArgs<Real> &args, const Spot<Real, D> &spot,
                                 long long first_word, int words, unsigned short *list) {
  __shared__ int counts[words_per_look / 32];
  static_assert(words_per_look == 64, "the hills of two warps are counted below");
  const int lane = threadIdx.x % 32;
  unsigned bits = 0;
  if (threadIdx.x < words) {
    bits = 0xffffffffu;
    CUFES_UNROLL(D)
    for (int i = 0; i < dimension<D>(args.hills.ndim); ++i)
      bits &= args.marks[(args.layers[i] + spot.layer[i]) * args.words + first_word + threadIdx.x];
  }
  int upto = __popc(bits);
#pragma unroll
  for (int distance = 1; distance < 32; distance *= 2) {
    const int other = __shfl_up_sync(0xffffffffu, upto, distance);
    if (lane >= distance) upto += other;
  }
  if (threadIdx.x < words_per_look && lane == 31) counts[threadIdx.x / 32] = upto;
  __syncthreads();
  int before = upto - __popc(bits) + (threadIdx.x >= 32 ? counts[0] : 0);
#pragma unroll 1
  for (; bits; bits &= bits - 1) list[before++] = threadIdx.x * 32 + __ffs(bits) - 1;
  const int all = counts[0] + counts[1];
  __syncthreads();
  return all;
}

// Hills in shared memory, of which batches are made; and, less exactly, where they are and how
// narrow.
template <typename Real, int D>
struct Round {
  Batch<Real, D, false> hills;
  float offset[storage<D>][batch<D>];  // of the centre from the middle of the tile
  float inverse[storage<D>][batch<D>];
};

// How far beyond the end of a part a hill may be counted as reaching it, whatever the rounding: all
// tests err on the side of more. The boxed kernel ends a bin or two beyond the cut-off.
template <typename Real>
__device__ inline float slack(const TileArgs<Real> &args, int i) {
  const double spacings = args.hills.kernel == CUFES_BOXED_GAUSSIAN ? 2.0 : 0.01;
  return static_cast<float>(spacings * args.spacing[i] + 1e-6 * args.hills.period[i]);
}

// Adds an axis to the squared distance, in sigmas, of a hill from a part of the grid `half` long to
// both sides. A box has no corner to cut off.
__device__ inline float add_gap(float square, float offset, float half, float inverse, bool boxed) {
  const float gap = max(fabsf(offset) - half, 0.0f) * inverse;
  return boxed ? max(square, gap * gap) : square + gap * gap;
}

// Not "less": what is not a number is to be seen in the sum.
__device__ inline bool within_reach(float square) {
  return !(square > 2 * float(stretch_cutoff) * 1.001f);
}

// What the hills of a batch are along the axes of the tile.
template <typename Real, bool GRADIENT>
struct Factors {
  static constexpr int capacity = factor_capacity<GRADIENT>;
  Real factor[capacity];
  Real slope[GRADIENT ? capacity : 1];   // of -d
  Real square[GRADIENT ? capacity : 1];  // d
};

// Whether a point is in the box of bins of a hill, along axis i; see cufes.h.
template <typename Real>
__device__ inline bool in_box(const TileArgs<Real> &args, Real center, Real inverse, int index,
                              int i) {
  const double bin = floor((center - args.lower[i]) / args.spacing[i]);
  const double width = ceil(reach / (inverse * args.spacing[i]));
  double distance = index - bin;
  if (args.hills.inverse_period[i] > 0) {
    const double bins = rint(args.hills.period[i] / args.spacing[i]);
    distance -= bins * rint(distance / bins);
  }
  return fabs(distance) <= width;
}

// The axis and the index of the grid that a place among the factors of a hill stands for.
template <typename Real, int D>
__device__ inline int find_axis(const TileArgs<Real> &args, const Spot<Real, D> &spot, int entry,
                                int &index) {
  int axis = 0;
  index = spot.tile.first[0] + entry - spot.offset[0];
  CUFES_UNROLL(D)
  for (int i = 1; i < dimension<D>(args.hills.ndim); ++i)
    if (entry >= spot.offset[i]) {
      axis = i;
      index = spot.tile.first[i] + entry - spot.offset[i];
    }
  return axis;
}

template <typename Real, bool GRADIENT>
__device__ inline void set_factor(Factors<Real, GRADIENT> &to, int at, Real value, Real slope,
                                  Real square) {
  to.factor[at] = value;
  if constexpr (GRADIENT) {
    to.slope[at] = slope;
    to.square[at] = square;
  }
}

// The places of a hill's factors are dealt to the threads, who fill theirs for one hill of the
// batch after the other. The places before the first axis hold the height.
template <typename Real, int D, bool GRADIENT>
__device__ inline void fill_place(const TileArgs<Real> &args, const Spot<Real, D> &spot,
                                  const Round<Real, D> &round, int first, int count, int entry,
                                  const Exp<Real, 1> &exp_of, Factors<Real, GRADIENT> &to) {
  int index;
  const int axis = find_axis(args, spot, entry, index);
  const Real x = static_cast<Real>(args.lower[axis] + index * args.spacing[axis]);
  const Real period = args.hills.period[axis], inverse_period = args.hills.inverse_period[axis];
  const bool boxed = args.hills.kernel == CUFES_BOXED_GAUSSIAN;
  const Real scale =
      axis == 0 && args.hills.kernel == CUFES_STRETCHED_GAUSSIAN ? Real(stretch_a) : Real(1);
#pragma unroll 1
  for (int k = spot.first_hill; k < count; k += args.together) {
    const Real center = round.hills.center[first + k][axis];
    const Real inverse = round.hills.inverse_sigma[first + k][axis];
    const Real scaled = nearest_image(x - center, period, inverse_period) * inverse;
    Real value = scale * exp_of.of_square(scaled * scaled);
    if (boxed && !in_box(args, center, inverse, index, axis)) value = 0;
    if (entry < spot.offset[0]) value = round.hills.height[first + k];
    set_factor(to, k * args.pitch + entry, value, -scaled * inverse, Real(0.5) * scaled * scaled);
  }
}

template <typename Real, int D, bool GRADIENT>
__device__ inline void fill_factors(const TileArgs<Real> &args, const Spot<Real, D> &spot,
                                    const Round<Real, D> &round, int first, int count,
                                    const Exp<Real, 1> &exp_of, Factors<Real, GRADIENT> &to) {
#pragma unroll 1
  for (int entry = spot.first_entry; entry < args.pitch; entry += block_size)
    fill_place(args, spot, round, first, count, entry, exp_of, to);
}

__device__ inline bool is_negative(double x) { return __double2hiint(x) < 0; }
__device__ inline bool is_negative(float x) { return __float_as_int(x) < 0; }

// Sums of a thread's runs: the values, of one or two, or with a gradient its components, of one.
template <typename Real, int D, bool GRADIENT>
struct RunSums {
  static constexpr int planes = GRADIENT ? 1 + storage<D> : runs_of<D, false>;
  Real sum[planes][run_length];
};

template <typename Real>
struct Two;
template <>
struct Two<double> {
  using Type = double2;
};
template <>
struct Two<float> {
  using Type = float2;
};

// Runs begin at even places: two numbers a load.
template <typename Real>
__device__ inline void load_run(const Real *from, Real *run) {
  using Type = typename Two<Real>::Type;
#pragma unroll
  for (int r = 0; r < run_length; r += 2) {
    const Type two = *reinterpret_cast<const Type *>(from + r);
    run[r] = two.x;
    run[r + 1] = two.y;
  }
}

template <typename Real>
__device__ inline const Real &at_byte(const Real *from, int byte) {
  return *reinterpret_cast<const Real *>(reinterpret_cast<const char *>(from) + byte);
}

template <typename Real, int D>
__device__ inline void add_to_run(const TileArgs<Real> &args, const Spot<Real, D> &spot,
                                  const Factors<Real, false> &factors, int k, Real offset,
                                  RunSums<Real, D, false> &sums) {
  constexpr int runs = runs_of<D, false>;
  const int ndim = dimension<D>(args.hills.ndim);
  const Real *factor = factors.factor + k * args.pitch;
  const Real height = factor[0];
  Real run[run_length], leading = 1;
  load_run(&at_byte(factor, spot.place[ndim - 1]), run);
  CUFES_UNROLL(D)
  for (int i = runs == 1 ? 0 : 1; i < ndim - 1; ++i) leading *= at_byte(factor, spot.place[i]);
#pragma unroll
  for (int p = 0; p < runs; ++p) {
    const Real first =
        runs == 1 ? leading : leading * at_byte(factor, spot.place[0] + p * spot.run_step);
#pragma unroll
    for (int r = 0; r < run_length; ++r) {
      // Negative beyond the cut-off, and nowhere else.
      const Real value = fma(first, run[r], offset);
      if (!is_negative(value)) sums.sum[p][r] = fma(height, value, sums.sum[p][r]);
    }
  }
}

// The slope jumps at the cut-off: here d itself decides, added up as everywhere else.
template <typename Real, int D>
__device__ inline void add_to_run(const TileArgs<Real> &args, const Spot<Real, D> &spot,
                                  const Factors<Real, true> &factors, int k, Real offset,
                                  RunSums<Real, D, true> &sums) {
  const int ndim = dimension<D>(args.hills.ndim);
  const int from = k * args.pitch;
  const Real height = factors.factor[from];
  Real leading = height, square = 0;
  CUFES_UNROLL(D)
  for (int i = 0; i < ndim - 1; ++i) {
    leading *= factors.factor[from + spot.offset[i] + spot.local[i]];
    square += factors.square[from + spot.offset[i] + spot.local[i]];
  }
  const int run = from + spot.offset[ndim - 1] + spot.local[ndim - 1];
  const bool stretched = args.hills.kernel == CUFES_STRETCHED_GAUSSIAN;
#pragma unroll
  for (int r = 0; r < run_length; ++r) {
    if (stretched && !(square + factors.square[run + r] < Real(stretch_cutoff))) continue;
    const Real steep = leading * factors.factor[run + r];
    sums.sum[0][r] += fma(height, offset, steep);
    CUFES_UNROLL(D)
    for (int i = 0; i < ndim - 1; ++i)
      sums.sum[1 + i][r] =
          fma(steep, factors.slope[from + spot.offset[i] + spot.local[i]], sums.sum[1 + i][r]);
    sums.sum[ndim][r] = fma(steep, factors.slope[run + r], sums.sum[ndim][r]);
  }
}

// The hills of a batch, as bits, that reach the warp's part of the tile: each lane looks at one.
template <typename Real, int D>
__device__ inline unsigned find_reached(const TileArgs<Real> &args, const Spot<Real, D> &spot,
                                        const Round<Real, D> &round, int first, int count) {
  const int lane = threadIdx.x % 32;
  const bool boxed = args.hills.kernel == CUFES_BOXED_GAUSSIAN;
  float square = 0;
  if (lane < count) {
    CUFES_UNROLL(D)
    for (int i = 0; i < dimension<D>(args.hills.ndim); ++i) {
      const float offset =
          nearest_image(round.offset[i][first + lane] - spot.middle[i], float(args.hills.period[i]),
                        float(args.hills.inverse_period[i]));
      square = add_gap(square, offset, spot.half[i], round.inverse[i][first + lane], boxed);
    }
  }
  return __ballot_sync(0xffffffffu, lane < count && !spot.idle_warp && within_reach(square));
}

template <typename Real, int D, bool GRADIENT>
__device__ inline void sum_batch(const TileArgs<Real> &args, const Spot<Real, D> &spot,
                                 const Round<Real, D> &round, int first, int count,
                                 const Factors<Real, GRADIENT> &factors, Real offset,
                                 RunSums<Real, D, GRADIENT> &sums) {
#pragma unroll 1
  for (unsigned left = find_reached(args, spot, round, first, count); left; left &= left - 1)
    add_to_run(args, spot, factors, __ffs(left) - 1, offset, sums);
}

template <typename Real, int D, bool GRADIENT>
__device__ inline void take_sums(RunSums<Real, D, GRADIENT> &sums,
                                 double (&total)[RunSums<Real, D, GRADIENT>::planes][run_length]) {
#pragma unroll
  for (int p = 0; p < RunSums<Real, D, GRADIENT>::planes; ++p)
#pragma unroll
    for (int r = 0; r < run_length; ++r) {
      total[p][r] += sums.sum[p][r];
      sums.sum[p][r] = 0;
    }
}

template <typename Real, int D, bool GRADIENT>
__device__ inline void store_run(
    const TileArgs<Real> &args, const Spot<Real, D> &spot,
    const double (&total)[RunSums<Real, D, GRADIENT>::planes][run_length]) {
  const int ndim = dimension<D>(args.hills.ndim);
  if (spot.idle) return;
  const int last = ndim - 1;
  const int left = args.points[last] - spot.tile.first[last] - spot.local[last];
  const int planes = GRADIENT ? 1 + ndim : 1;
  double *to = args.sums + blockIdx.y * planes * args.size - args.offset;
#pragma unroll
  for (int p = 0; p < RunSums<Real, D, GRADIENT>::planes; ++p) {
    const int ahead = GRADIENT ? 0 : p * args.lanes[0];
    if (p >= (GRADIENT ? planes : runs_of<D, false>) ||
        spot.tile.first[0] + spot.local[0] + ahead >= args.points[0])
      continue;
    long long at = GRADIENT ? p * args.size : 0, index = 0;
    CUFES_UNROLL(D)
    for (int i = 0; i < ndim; ++i)
      index = index * args.points[i] + spot.tile.first[i] + spot.local[i] + (i == 0 ? ahead : 0);
    at += index;
#pragma unroll
    for (int r = 0; r < run_length; ++r)
      if (r < left) to[at + r] += total[p][r];
  }
}

template <typename Real, int D>
__device__ inline bool tile_reached(const TileArgs<Real> &args, const Spot<Real, D> &spot,
                                    long long n, float *offset, float *inverse) {
  const HillsArgs<Real> &hills = args.hills;
  float square = 0;
  CUFES_UNROLL(D)
  for (int i = 0; i < dimension<D>(hills.ndim); ++i) {
    offset[i] =
        static_cast<float>(nearest_image(hills.centers[n * hills.ndim + i] - spot.tile.middle[i],
                                         hills.period[i], hills.inverse_period[i]));
    inverse[i] = 1.0f / static_cast<float>(hills.sigmas[n * hills.sigma_stride + i]);
    square = add_gap(square, offset[i], static_cast<float>(spot.tile.half[i]) + slack(args, i),
                     inverse[i], hills.kernel == CUFES_BOXED_GAUSSIAN);
  }
  return within_reach(square);
}

// The next hills of the list that reach the tile, in order; returns how many there are.
template <typename Real, int D>
__device__ inline int load_round(const TileArgs<Real> &args, const Spot<Real, D> &spot,
                                 const unsigned short *list, int candidate, int listed,
                                 long long first, Round<Real, D> &round) {
  const bool there = threadIdx.x < batch<D> && candidate < listed;
  const long long n = there ? first + list[candidate] : 0;
  float offset[storage<D>], inverse[storage<D>];
  const bool keep = there && tile_reached(args, spot, n, offset, inverse);
  int kept;
  const int slot = compact(keep, kept);
  if (keep) {
    load_hill(args.hills, n, round.hills, slot);
    CUFES_UNROLL(D)
    for (int i = 0; i < dimension<D>(args.hills.ndim); ++i) {
      round.offset[i][slot] = offset[i];
      round.inverse[i][slot] = inverse[i];
    }
  }
  __syncthreads();
  return kept;
}

template <typename Real, int D, bool GRADIENT>
__device__ inline void sum_tile(const TileArgs<Real> &args) {
  constexpr int planes = RunSums<Real, D, GRADIENT>::planes;
  __shared__ Round<Real, D> round;
  __shared__ unsigned short list[32 * words_per_look];
  __shared__ __align__(16) Factors<Real, GRADIENT> factors[2];
  __shared__ Real table[Exp<Real, 1>::size];
  Spot<Real, D> spot;
  find_spot<Real, D, runs_of<D, GRADIENT>>(args, spot);
  Exp<Real, 1>::fill(table);
  const Exp<Real, 1> exp_of(table, rate_of_squares);
  const Real offset = args.hills.kernel == CUFES_STRETCHED_GAUSSIAN ? Real(stretch_b) : Real(0);
  double total[planes][run_length] = {};
  RunSums<Real, D, GRADIENT> sums{};
  unsigned turn = 0;
  const long long begin = args.first_word + blockIdx.y * args.words_per_chunk;
  const long long end = min(begin + args.words_per_chunk, args.end_word);
  for (long long word = begin; word < end; word += words_per_look) {
    const int words = static_cast<int>(min(end - word, static_cast<long long>(words_per_look)));
    const int listed = list_hills(args, spot, word, words, list);
    for (int first = 0; first < listed; first += batch<D>) {
      const int kept = load_round(args, spot, list, first + threadIdx.x, listed, word * 32, round);
      for (int from = -args.batch; from < kept; from += args.batch, ++turn) {
        // While some warps still sum one batch, others make the next.
        const int next = from + args.batch;
        if (next < kept)
          fill_factors(args, spot, round, next, min(args.batch, kept - next), exp_of,
                       factors[(turn + 1) % 2]);
        if (from >= 0)
          sum_batch(args, spot, round, from, min(args.batch, kept - from), factors[turn % 2],
                    offset, sums);
        __syncthreads();
      }
      // In single precision sums of a few hills go to a double: the error is to be independent of
      // how many hills there are.
      if constexpr (sizeof(Real) == 4) take_sums(sums, total);
    }
  }
  take_sums(sums, total);
  store_run<Real, D, GRADIENT>(args, spot, total);
}

#endif  // __CUDACC__

}  // namespace cufes

#endif  // CUFES_TRUNCATED_CUH
