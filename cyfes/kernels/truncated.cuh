// The truncated path: kernels with a cut-off, on a grid, by output-stationary tiles, one a warp.
//
// First each hill marks, axis by axis, the layers of tiles that it reaches, one bit a hill in a
// word a layer, and writes to tables how far it is from each such layer and its factors at the
// layer's points. The hills of a tile are then the bits that its layers have in common, less those
// that pass by its corners. A warp copies their factors to shared memory, some hills ahead of those
// whose products it adds to points that stay in registers. Warps never wait for each other.
#ifndef CUFES_TRUNCATED_CUH
#define CUFES_TRUNCATED_CUH

#include "separable.cuh"

namespace cufes {

// A block has so many warps, each with a tile: small blocks leave no multiprocessor half empty.
constexpr int tiles_per_block = 4;
// Successive points along the last axis that a thread owns.
constexpr int run_length = 8;
// Such runs of a thread, along the first axis: what a hill is along the last one is then read once.
template <int D, bool GRADIENT>
constexpr int runs_of = (D == 2 || D == 3) && !GRADIENT ? 2 : 1;
// Numbers of a hill at a point of an axis: the factor, and for a gradient its slope and d.
template <bool GRADIENT>
constexpr int numbers_of = GRADIENT ? 3 : 1;
// A hill's factors along an axis of a tile take the room of this many at least, and of a power of
// two: they are copied and read by 16 bytes.
constexpr int least_width = 4;
// The room of a hill's factors in shared memory and, at its end, its height; and how many hills a
// batch has. Each warp has two batches, one of which arrives while the other is being summed.
// 0: as the dimension wants it.
template <int D, bool GRADIENT>
constexpr int pitch_of = D == 3   ? (GRADIENT ? 24 : 28)
                         : D == 2 ? (GRADIENT ? 36 : 52)
                                  : 0;
template <int D, bool GRADIENT>
constexpr int batch_of = D == 3   ? (GRADIENT ? 3 : 8)
                         : D == 2 ? (GRADIENT ? 2 : 4)
                                  : 0;
constexpr int most_pitch = 256 + least_width;  // a tile of one dimension has 256 points
template <int D, bool GRADIENT>
constexpr int batch_capacity =
    D > 0 ? pitch_of<D, GRADIENT> * batch_of<D, GRADIENT> * numbers_of<GRADIENT> : most_pitch;
constexpr int most_batch = 16;
// Words of marks that a warp looks at together, two a lane: their hills' numbers fit 16 bits.
constexpr int words_per_look = 64;

template <typename Real>
struct TileArgs {
  HillsArgs<Real> hills;
  double lower[CUFES_MAX_DIM];
  double spacing[CUFES_MAX_DIM];
  int points[CUFES_MAX_DIM];
  int tile[CUFES_MAX_DIM];  // points of a tile along each axis, powers of two: lanes, x runs first,
                            // x run_length last
  int tiles[CUFES_MAX_DIM];  // tiles along each axis: its layers
  int lanes[CUFES_MAX_DIM];
  int width[CUFES_MAX_DIM];       // room of a hill's factors along an axis of a tile
  int layers[CUFES_MAX_DIM];      // where an axis's layers begin among all
  long long rows[CUFES_MAX_DIM];  // where an axis's factors begin in the table
  long long heights;              // and where the heights do: one in 16 bytes
  int used;                       // room of a hill's factors along all axes
  int pitch;                      // and with the height at its end: see pitch_of
  int batch;                      // hills of a batch: see batch_of
  // Of a pass over some of the hills:
  long long first_hill;
  long long words;            // of marks a layer
  unsigned *marks;            // layers of all axes x words
  float *gaps;                // layers of all axes x hills: square of the distance, in sigmas
  Real *table;                // for each axis: layers x hills x width
  long long plane;            // from factors to slopes, and to halved squares; 0: there are none
  long long words_per_chunk;  // blockIdx.y counts chunks
  unsigned first_tile, end_tile;
  long long offset;  // the point that is written first: a part of the grid may be made
  long long size;    // points in the part
  double *sums;      // chunks x size, or chunks x (1 + ndim) x size with a gradient
  int add;           // whether to add to what is there
};

#ifdef __CUDACC__

constexpr unsigned all_lanes = 0xffffffffu;

// How far a hill reaches along axis i, in grid points, erring on the side of more. The boxed kernel
// ends a bin or two beyond the cut-off.
template <typename Real>
__device__ inline double reach_in_points(const TileArgs<Real> &args, double sigma, int i) {
  const double points = reach * sigma / args.spacing[i];
  return args.hills.kernel == CUFES_BOXED_GAUSSIAN ? ceil(points) + 1 : points * 1.001 + 1e-3;
}

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

// A hill along one axis.
template <typename Real>
struct Along {
  Real center, inverse;
  double at, far;  // in grid points
};

template <typename Real>
__device__ inline Along<Real> look_along(const TileArgs<Real> &args, long long n, int i) {
  const Real center = args.hills.centers[n * args.hills.ndim + i];
  const Real sigma = args.hills.sigmas[n * args.hills.sigma_stride + i];
  return {center, reciprocal(sigma), (center - args.lower[i]) / args.spacing[i],
          reach_in_points(args, sigma, i)};
}

// The distance from a hill to the nearest point of a layer, in grid points; below 0 within it.
template <typename Real>
__device__ inline double gap_to_layer(const TileArgs<Real> &args, const Along<Real> &hill, int i,
                                      int layer) {
  const int first = layer * args.tile[i];
  const double half = 0.5 * (min(first + args.tile[i], args.points[i]) - 1 - first);
  double distance = hill.at - (first + half);
  if (args.hills.inverse_period[i] > 0) {
    const double wrap = args.hills.period[i] / args.spacing[i];
    distance -= wrap * rint(distance / wrap);
  }
  return fabs(distance) - half;
}

template <typename Real>
__device__ inline void write_factor(const TileArgs<Real> &args, const Exp<Real, 1> &exp_of,
                                    Real center, Real inverse, int i, int index, Real *to) {
  const Real x = static_cast<Real>(args.lower[i] + index * args.spacing[i]);
  const Real scaled =
      nearest_image(x - center, args.hills.period[i], args.hills.inverse_period[i]) * inverse;
  const bool stretched = args.hills.kernel == CUFES_STRETCHED_GAUSSIAN;
  Real value = exp_of.of_square(scaled * scaled);
  if (stretched && i == 0) value *= Real(stretch_a);
  if (args.hills.kernel == CUFES_BOXED_GAUSSIAN && !in_box(args, center, inverse, index, i))
    value = 0;
  *to = value;
  if (args.plane == 0) return;
  to[args.plane] = -scaled * inverse;
  to[2 * args.plane] = Real(0.5) * scaled * scaled;
}

// The factors of a warp's hills in a layer, of those that reach it: lanes take successive points,
// of one hill after the other.
template <typename Real>
__device__ inline void write_layer(const TileArgs<Real> &args, const Exp<Real, 1> &exp_of,
                                   const Along<Real> &own, int i, int layer, long long word,
                                   unsigned reached) {
  __shared__ unsigned char order[block_size];
  const int lane = threadIdx.x % 32, width = args.width[i], shift = __ffs(width) - 1;
  unsigned char *hills = order + threadIdx.x - lane;
  if (reached >> lane & 1) hills[__popc(reached & ((1u << lane) - 1))] = lane;
  __syncwarp();
  Real *to = args.table + args.rows[i] + (layer * args.words + word) * 32 * width;
#pragma unroll 1
  for (int from = 0; from < __popc(reached) * width; from += 32) {
    const int slot = (from + lane) >> shift, point = (from + lane) & (width - 1);
    const bool there = slot < __popc(reached);
    const int hill = there ? hills[slot] : 0;
    const Real center = __shfl_sync(all_lanes, own.center, hill);
    const Real inverse = __shfl_sync(all_lanes, own.inverse, hill);
    if (there)
      write_factor(args, exp_of, center, inverse, i, layer * args.tile[i] + point,
                   to + hill * width + point);
  }
  __syncwarp();
}

// A thread takes a hill along an axis, blockIdx.y; a warp writes the words of its hills.
template <typename Real>
__device__ inline void prepare_hills(const TileArgs<Real> &args) {
  __shared__ Real powers[Exp<Real, 1>::size];
  Exp<Real, 1>::fill(powers);
  __syncthreads();
  const Exp<Real, 1> exp_of(powers, rate_of_squares);
  const int i = blockIdx.y;
  const long long k = blockIdx.x * static_cast<long long>(block_size) + threadIdx.x;
  const long long word = k / 32, n = args.first_hill + k;
  if (word >= args.words) return;
  const bool there = n < args.hills.count;
  const Along<Real> own = look_along(args, there ? n : args.first_hill, i);
  if (i == 0 && there) args.table[args.heights + k * lanes_of<Real>] = args.hills.heights[n];
#pragma unroll 1
  for (int layer = 0; layer < args.tiles[i]; ++layer) {
    const double gap = gap_to_layer(args, own, i, layer);
    // Not "less": what is not a number is marked, and seen in the sum.
    const unsigned reached = __ballot_sync(all_lanes, there && !(gap > own.far));
    if (threadIdx.x % 32 == 0) args.marks[(args.layers[i] + layer) * args.words + word] = reached;
    if (!reached) continue;
    // A box has no corners to pass by.
    const bool boxed = args.hills.kernel == CUFES_BOXED_GAUSSIAN;
    const auto in_sigmas = static_cast<float>(max(gap, 0.0) * args.spacing[i] * own.inverse);
    args.gaps[(args.layers[i] + layer) * args.words * 32 + k] =
        boxed ? 0.0f : in_sigmas * in_sigmas;
    write_layer(args, exp_of, own, i, layer, word, reached);
  }
}

// Where a warp and its threads are.
template <typename Real, int D>
struct Spot {
  int layer[storage<D>];
  int first[storage<D>];   // of the tile's points
  int local[storage<D>];   // the thread's point in the tile; the first of its run, last
  int offset[storage<D>];  // where an axis's factors begin among those of a hill: the last one's do
                           // first, for they are read by 16 bytes
  bool idle;               // beyond the grid, or more threads than a small tile has points
};

template <typename Real, int D, int RUNS>
__device__ inline void find_spot(const TileArgs<Real> &args, unsigned tile, Spot<Real, D> &spot) {
  const int ndim = dimension<D>(args.hills.ndim);
  unsigned lane = threadIdx.x % 32;
  int offset = args.used;
  spot.idle = false;
  CUFES_UNROLL(D)
  for (int i = ndim - 1; i >= 0; --i) {
    spot.layer[i] = tile % args.tiles[i];
    tile /= args.tiles[i];
    spot.local[i] = lane % args.lanes[i] * (i == ndim - 1 ? run_length : i == 0 ? RUNS : 1);
    lane /= args.lanes[i];
    offset -= i == ndim - 1 ? 0 : args.width[i];
    spot.offset[i] = i == ndim - 1 ? 0 : offset;
    spot.first[i] = spot.layer[i] * args.tile[i];
    spot.idle = spot.idle || spot.first[i] + spot.local[i] >= args.points[i];
  }
  spot.idle = spot.idle || lane > 0;
}

// Appends the numbers of the hills of 32 words that all layers of the tile have in common, in
// order, counted from `first` for that of the first word. Returns how many are on the list then.
template <typename Real, int D>
__device__ inline int list_hills(const TileArgs<Real> &args, const Spot<Real, D> &spot,
                                 long long word, long long end, int first, int listed,
                                 unsigned short *list) {
  const int lane = threadIdx.x % 32;
  unsigned bits = 0;
  if (word + lane < end) {
    bits = all_lanes;
    CUFES_UNROLL(D)
    for (int i = 0; i < dimension<D>(args.hills.ndim); ++i)
      bits &= args.marks[(args.layers[i] + spot.layer[i]) * args.words + word + lane];
  }
  int upto = listed + __popc(bits);
#pragma unroll
  for (int distance = 1; distance < 32; distance *= 2) {
    const int other = __shfl_up_sync(all_lanes, upto, distance);
    if (lane >= distance) upto += other - listed;
  }
  int at = upto - __popc(bits);
#pragma unroll 1
  for (; bits; bits &= bits - 1) list[at++] = first + lane * 32 + __ffs(bits) - 1;
  __syncwarp();
  return __shfl_sync(all_lanes, upto, 31);
}

// Leaves those on the list that reach the tile, not past one of its edges or corners, in order;
// returns how many.
template <typename Real, int D>
__device__ inline int keep_near(const TileArgs<Real> &args, const Spot<Real, D> &spot,
                                long long first, int listed, unsigned short *list) {
  const int lane = threadIdx.x % 32;
  int kept = 0;
#pragma unroll 1
  for (int from = 0; from < listed; from += 32) {
    const bool there = from + lane < listed;
    const unsigned short hill = there ? list[from + lane] : 0;
    float square = 0;
    CUFES_UNROLL(D)
    for (int i = 0; i < dimension<D>(args.hills.ndim); ++i)
      square += args.gaps[(args.layers[i] + spot.layer[i]) * args.words * 32 + first + hill];
    const bool keep = there && square <= 2 * float(stretch_cutoff) * 1.001f;
    const unsigned votes = __ballot_sync(all_lanes, keep);
    // What another lane has read is overwritten.
    __syncwarp();
    if (keep) list[kept + __popc(votes & ((1u << lane) - 1))] = hill;
    kept += __popc(votes);
  }
  // The last batch is copied as a whole.
  if (lane < most_batch) list[kept + lane] = 0;
  __syncwarp();
  return kept;
}

template <int D, bool GRADIENT, typename Real>
__device__ inline int pitch_in(const TileArgs<Real> &args) {
  return D > 0 ? pitch_of<D, GRADIENT> : args.pitch;
}
template <int D, bool GRADIENT, typename Real>
__device__ inline int batch_in(const TileArgs<Real> &args) {
  return D > 0 ? batch_of<D, GRADIENT> : args.batch;
}

// What a lane copies of a record: which 16 bytes, where those of hill 0 are, and the bytes from one
// hill's to the next's; 0 for nothing. Several hills are copied at a time where lanes are left
// over.
template <typename Real, int D, bool GRADIENT>
struct Share {
  static constexpr int pieces =
      ((D > 0 ? pitch_of<D, GRADIENT> : most_pitch) - least_width) / lanes_of<Real> + 1;
  static constexpr int together = D > 0 && pieces <= 16 ? 32 / pieces : 1;
  static constexpr int rounds = (pieces + 31) / 32;
  int hill;
  int place[rounds];
  const char *from[rounds];
  unsigned step[rounds];
};

template <typename Real, int D, bool GRADIENT>
__device__ inline void find_share(const TileArgs<Real> &args, const Spot<Real, D> &spot,
                                  Share<Real, D, GRADIENT> &share) {
  const int lane = threadIdx.x % 32;
  share.hill = share.rounds == 1 ? lane / share.pieces : 0;
  CUFES_UNROLL(D)
  for (int s = 0; s < share.rounds; ++s) {
    const int piece = share.rounds == 1 ? lane % share.pieces : lane + 32 * s;
    const int place = share.place[s] = piece * lanes_of<Real>;
    const bool height = place == pitch_in<D, GRADIENT>(args) - least_width;
    share.from[s] = reinterpret_cast<const char *>(args.table + args.heights);
    share.step[s] = height && share.hill < share.together ? 16 : 0;
    CUFES_UNROLL(D)
    for (int i = 0; i < dimension<D>(args.hills.ndim); ++i) {
      const int point = place - spot.offset[i];
      if (point < 0 || point >= args.width[i] || share.hill >= share.together) continue;
      const long long row = args.rows[i] + spot.layer[i] * args.words * 32 * args.width[i];
      share.from[s] = reinterpret_cast<const char *>(args.table + row + point);
      share.step[s] = args.width[i] * sizeof(Real);
    }
  }
}

// Copies the records of a batch of hills on the list, whose numbers count from hill `first` on.
template <typename Real, int D, bool GRADIENT>
__device__ inline void fetch_batch(const TileArgs<Real> &args,
                                   const Share<Real, D, GRADIENT> &share, long long first,
                                   const unsigned short *list, Real *batch) {
  constexpr int numbers = numbers_of<GRADIENT>;
  const int pitch = pitch_in<D, GRADIENT>(args), hills = batch_in<D, GRADIENT>(args);
  CUFES_UNROLL(D)
  for (int s = 0; s < share.rounds; ++s) {
    if (share.step[s] == 0) continue;
    const char *from = share.from[s] + first * share.step[s];
    CUFES_PRAGMA(unroll(D > 0 ? batch_of<D, GRADIENT> : 1))
    for (int k = 0; k < hills; k += share.together) {
      const int own = k + share.hill;
      if (hills % share.together != 0 && own >= hills) continue;
      const auto *here = reinterpret_cast<const Real *>(
          from + static_cast<unsigned long long>(unsigned{list[own]}) * share.step[s]);
#pragma unroll
      for (int p = 0; p < numbers; ++p)
        copy_16_bytes(batch + (own * numbers + p) * pitch + share.place[s], here + p * args.plane);
    }
  }
}

__device__ inline bool is_negative(double x) { return __double2hiint(x) < 0; }
__device__ inline bool is_negative(float x) { return __float_as_int(x) < 0; }

// Sums of a thread's runs: the values, of one or two, or with a gradient its components, of one.
template <typename Real, int D, bool GRADIENT>
struct RunSums {
  static constexpr int planes = GRADIENT ? 1 + storage<D> : runs_of<D, false>;
  Real sum[planes][run_length];
};

__device__ inline void unpack(const double2 &from, double *to) { to[0] = from.x, to[1] = from.y; }
__device__ inline void unpack(const float4 &from, float *to) {
  to[0] = from.x, to[1] = from.y, to[2] = from.z, to[3] = from.w;
}

template <typename Real>
__device__ inline void load_run(const Real *from, Real *run) {
  using Type = typename Vector<Real>::Type;
#pragma unroll
  for (int r = 0; r < run_length; r += lanes_of<Real>)
    unpack(*reinterpret_cast<const Type *>(from + r), run + r);
}

// Of both runs of a thread.
template <typename Real>
struct __align__(2 * sizeof(Real)) Pair {
  Real first, second;
};

template <typename Real, int D>
__device__ inline void add_record(const TileArgs<Real> &args, const Spot<Real, D> &spot,
                                  const Real *record, Real shift, RunSums<Real, D, false> &sums) {
  constexpr int runs = runs_of<D, false>;
  const int ndim = dimension<D>(args.hills.ndim);
  const Real height = record[pitch_in<D, false>(args) - least_width];
  Real run[run_length];
  load_run(record + spot.local[ndim - 1], run);
  Real leading = 1;
  CUFES_UNROLL(D)
  for (int i = runs == 1 ? 0 : 1; i < ndim - 1; ++i)
    leading *= record[spot.offset[i] + spot.local[i]];
  Real first[runs];
  if constexpr (runs == 2) {
    const Pair<Real> pair =
        *reinterpret_cast<const Pair<Real> *>(record + spot.offset[0] + spot.local[0]);
    first[0] = leading * pair.first;
    first[1] = leading * pair.second;
  } else {
    first[0] = leading;
  }
#pragma unroll
  for (int r = 0; r < run_length; ++r)
#pragma unroll
    for (int p = 0; p < runs; ++p) {
      // Negative beyond the cut-off, and nowhere else.
      const Real value = fma(first[p], run[r], shift);
      if (!is_negative(value)) sums.sum[p][r] = fma(height, value, sums.sum[p][r]);
    }
}

// The slope jumps at the cut-off: here d itself decides, added up as everywhere else.
template <typename Real, int D>
__device__ inline void add_record(const TileArgs<Real> &args, const Spot<Real, D> &spot,
                                  const Real *record, Real shift, RunSums<Real, D, true> &sums) {
  const int ndim = dimension<D>(args.hills.ndim);
  constexpr int pitch = pitch_of<D, true>;
  const Real *slopes = record + pitch, *squares = slopes + pitch;
  const Real height = record[pitch - least_width];
  Real leading = height, square = 0;
  CUFES_UNROLL(D)
  for (int i = 0; i < ndim - 1; ++i) {
    leading *= record[spot.offset[i] + spot.local[i]];
    square += squares[spot.offset[i] + spot.local[i]];
  }
  const int run = spot.local[ndim - 1];
  const bool stretched = args.hills.kernel == CUFES_STRETCHED_GAUSSIAN;
#pragma unroll
  for (int r = 0; r < run_length; ++r) {
    if (stretched && !(square + squares[run + r] < Real(stretch_cutoff))) continue;
    const Real steep = leading * record[run + r];
    sums.sum[0][r] += fma(height, shift, steep);
    CUFES_UNROLL(D)
    for (int i = 0; i < ndim - 1; ++i)
      sums.sum[1 + i][r] = fma(steep, slopes[spot.offset[i] + spot.local[i]], sums.sum[1 + i][r]);
    sums.sum[ndim][r] = fma(steep, slopes[run + r], sums.sum[ndim][r]);
  }
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
__device__ inline void sum_hills(const TileArgs<Real> &args, const Spot<Real, D> &spot,
                                 const Share<Real, D, GRADIENT> &share, long long first,
                                 const unsigned short *list, int count,
                                 Real (&batches)[2][batch_capacity<D, GRADIENT>],
                                 RunSums<Real, D, GRADIENT> &sums,
                                 double (&total)[RunSums<Real, D, GRADIENT>::planes][run_length]) {
  const Real shift = args.hills.kernel == CUFES_STRETCHED_GAUSSIAN ? Real(stretch_b) : Real(0);
  const int batch = batch_in<D, GRADIENT>(args);
  const int step = pitch_in<D, GRADIENT>(args) * numbers_of<GRADIENT>;
  Real *filled = batches[0], *next = batches[1];
  unsigned turn = 0;
  if (count > 0) fetch_batch(args, share, first, list, filled);
  commit_copies();
#pragma unroll 1
  for (; count > 0; count -= batch, list += batch) {
    if (count > batch) fetch_batch(args, share, first, list + batch, next);
    commit_copies();
    await_copies<1>();
    __syncwarp();
    const Real *record = filled;
    CUFES_PRAGMA(unroll(D == 0 || GRADIENT ? 1 : 4))
    for (int k = min(batch, count); k > 0; --k, record += step)
      add_record(args, spot, record, shift, sums);
    // In single precision sums of a few hills go to a double: the error is to be independent of how
    // many hills there are.
    if constexpr (sizeof(Real) == 4)
      if (++turn % 32 == 0 || count <= batch) take_sums(sums, total);
    // What was read is overwritten next.
    __syncwarp();
    Real *const read = filled;
    filled = next;
    next = read;
  }
}

template <typename Real, int D, bool GRADIENT>
__device__ inline void store_run(
    const TileArgs<Real> &args, const Spot<Real, D> &spot,
    const double (&total)[RunSums<Real, D, GRADIENT>::planes][run_length]) {
  const int ndim = dimension<D>(args.hills.ndim);
  if (spot.idle) return;
  const int last = ndim - 1;
  const int left = args.points[last] - spot.first[last] - spot.local[last];
  const int planes = GRADIENT ? 1 + ndim : 1;
  double *to = args.sums + blockIdx.y * planes * args.size - args.offset;
#pragma unroll
  for (int p = 0; p < RunSums<Real, D, GRADIENT>::planes; ++p) {
    const int ahead = GRADIENT ? 0 : p;
    if (p >= (GRADIENT ? planes : runs_of<D, false>) ||
        spot.first[0] + spot.local[0] + ahead >= args.points[0])
      continue;
    long long at = GRADIENT ? p * args.size : 0, index = 0;
    CUFES_UNROLL(D)
    for (int i = 0; i < ndim; ++i)
      index = index * args.points[i] + spot.first[i] + spot.local[i] + (i == 0 ? ahead : 0);
    at += index;
#pragma unroll
    for (int r = 0; r < run_length; ++r)
      if (r < left) to[at + r] = total[p][r] + (args.add ? to[at + r] : 0.0);
  }
}

template <typename Real, int D, bool GRADIENT>
__device__ inline void sum_tile(const TileArgs<Real> &args) {
  constexpr int warps = tiles_per_block, planes = RunSums<Real, D, GRADIENT>::planes;
  __shared__ __align__(16) Real batches[warps][2][batch_capacity<D, GRADIENT>];
  __shared__ unsigned short lists[warps][32 * words_per_look + most_batch];
  const int warp = threadIdx.x / 32;
  const unsigned tile = args.first_tile + blockIdx.x * warps + warp;
  if (tile >= args.end_tile) return;
  Spot<Real, D> spot;
  find_spot<Real, D, runs_of<D, GRADIENT>>(args, tile, spot);
  Share<Real, D, GRADIENT> share;
  find_share(args, spot, share);
  double total[planes][run_length] = {};
  RunSums<Real, D, GRADIENT> sums{};
  const long long begin = blockIdx.y * args.words_per_chunk;
  const long long end = min(begin + args.words_per_chunk, args.words);
#pragma unroll 1
  for (long long word = begin; word < end; word += words_per_look) {
    int count = 0;
#pragma unroll 1
    for (int part = 0; part < words_per_look; part += 32)
      count = list_hills(args, spot, word + part, end, part * 32, count, lists[warp]);
    count = keep_near(args, spot, word * 32, count, lists[warp]);
    sum_hills(args, spot, share, word * 32, lists[warp], count, batches[warp], sums, total);
  }
  take_sums(sums, total);
  store_run<Real, D, GRADIENT>(args, spot, total);
}

#endif  // __CUDACC__

}  // namespace cufes

#endif  // CUFES_TRUNCATED_CUH
