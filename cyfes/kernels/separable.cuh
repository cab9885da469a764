// The separable path: a Gaussian with a width along each axis is a product of one factor an axis,
// so its sum over hills on a grid is a matrix product, and no exponential is taken for a pair.
//
// The axes are cut into three groups, u, v and w. A table a group holds the factors of all hills at
// the group's points ("rows"), and
//   sums[u, v, w] = sum over n of U[n, u] V[n, v] W[n, w].
// The products U V are made in registers, from the fragments of U and V, right before the tensor
// cores take them: they never go to memory.
#ifndef CUFES_SEPARABLE_CUH
#define CUFES_SEPARABLE_CUH

#include "exp.cuh"

namespace cufes {

// A table is laid out as [hills / 8][row][8]: the factors of eight hills at a point are 64 bytes
// that the threads of a fragment read without bank conflicts. Hills that fill up the last eight are
// zeros.
constexpr int octet = 8;

template <typename Real>
struct FactorArgs {
  HillsArgs<Real> hills;
  double lower[CUFES_MAX_DIM];
  double spacing[CUFES_MAX_DIM];
  int points[CUFES_MAX_DIM];
  int first_axis, end_axis;  // the group
  int slope_axis;            // the axis along which to take the derivative, or -1
  int weighted;              // whether this table carries the heights
  int logarithmic;           // whether those are exp(height - *largest)
  const unsigned long long *largest;
  long long first;  // hill
  long long end;    // hill
  long long row;    // the first one
  long long rows;
  Real *table;
};

template <typename Real>
struct LargestArgs {
  HillsArgs<Real> hills;
  unsigned long long *largest;
};

// The tile of the result that a block makes: tile_u x tile_v points of the first two groups by the
// columns that its kernel is compiled for.
template <typename Real>
struct ProductArgs {
  const Real *u, *v, *w;
  int rows_u, rows_v, rows_w;
  int tile_u, tile_v;
  int tiles_v, tiles_w;
  unsigned first_tile;
  int octets;
  int octets_per_split;  // blockIdx.y counts splits
  int accumulate;        // whether to add to what is in `sums`
  double *sums;          // splits x size
  long long size;
};

// Shared memory holds a few stages of octets: some are being read, some are on their way.
constexpr int stages = 3;
// In front of them, it holds a barrier.
constexpr int barrier_bytes = 16;
// The most rows of a stage, of all three tables.
constexpr int stage_rows = 256;
// Octets of hills that are added up in registers before the sum goes to memory: a sum of sums has
// a smaller rounding error than one long sum.
constexpr int octets_per_flush = 512;

// Numbers in 16 bytes.
template <typename Real>
constexpr int lanes_of = 16 / sizeof(Real);

#ifdef __CUDACC__

// A number whose order as an unsigned integer is that of the double.
__device__ inline unsigned long long to_ordered(double x) {
  const long long bits = __double_as_longlong(x);
  return bits < 0 ? ~bits : bits | (1ull << 63);
}
__device__ inline double from_ordered(unsigned long long key) {
  return __longlong_as_double(key >> 63 ? key & ~(1ull << 63) : ~key);
}

template <typename Real>
__device__ inline void find_largest(const LargestArgs<Real> &args) {
  unsigned long long best = 0;
  const long long step = static_cast<long long>(gridDim.x) * block_size;
#pragma unroll 1
  for (long long n = blockIdx.x * static_cast<long long>(block_size) + threadIdx.x;
       n < args.hills.count; n += step)
    best = max(best, to_ordered(args.hills.heights[n]));
#pragma unroll 1
  for (int lane = 16; lane > 0; lane /= 2)
    best = max(best, __shfl_xor_sync(0xffffffffu, best, lane));
  if (threadIdx.x % 32 == 0) atomicMax(args.largest, best);
}

// The weight of a hill in a sum of plain Gaussians.
template <typename Real>
__device__ inline Real weight(Real height, bool logarithmic, const unsigned long long *largest) {
  return logarithmic ? static_cast<Real>(full_exp(height - from_ordered(*largest))) : height;
}

template <typename Real>
__device__ inline Real factor(const FactorArgs<Real> &args, long long n, long long row) {
  const HillsArgs<Real> &hills = args.hills;
  Real squares = 0, slope = 1;
  unsigned rest = static_cast<unsigned>(args.row + row);
#pragma unroll 1
  for (int i = args.end_axis - 1; i >= args.first_axis; --i) {
    const Real x = static_cast<Real>(args.lower[i] + (rest % args.points[i]) * args.spacing[i]);
    rest /= args.points[i];
    const Real inverse = Real(1) / hills.sigmas[n * hills.sigma_stride + i];
    const Real scaled = minimum_image(x - hills.centers[n * hills.ndim + i], hills.period[i],
                                      hills.inverse_period[i]) *
                        inverse;
    squares += scaled * scaled;
    if (i == args.slope_axis) slope = -scaled * inverse;
  }
  return slope * exponential(Real(-0.5) * squares);
}

// The same for a group of one axis, of which the hill's part is known: the place of the center and
// one over the width.
template <typename Real>
__device__ inline Real factor_of_axis(const FactorArgs<Real> &args, Real center, Real inverse,
                                      long long row) {
  const int i = args.first_axis;
  const unsigned k = static_cast<unsigned>(args.row + row);
  const Real x = static_cast<Real>(args.lower[i] + k * args.spacing[i]);
  const Real scaled =
      minimum_image(x - center, args.hills.period[i], args.hills.inverse_period[i]) * inverse;
  const Real slope = i == args.slope_axis ? -scaled * inverse : Real(1);
  return slope * exponential(Real(-0.5) * (scaled * scaled));
}

// A block makes the rows of one octet of hills.
template <typename Real>
__device__ inline void make_factors(const FactorArgs<Real> &args) {
  const long long n = args.first + blockIdx.x * static_cast<long long>(octet) + threadIdx.x % octet;
  Real *to = args.table + blockIdx.x * args.rows * octet + threadIdx.x % octet;
  const bool there = n < args.end;
  Real scale = there ? Real(1) : Real(0);
  if (there && args.weighted)
    scale = weight(args.hills.heights[n], args.logarithmic != 0, args.largest);
  constexpr int step = block_size / octet;
  if (there && args.end_axis - args.first_axis == 1) {
    const HillsArgs<Real> &hills = args.hills;
    const Real center = hills.centers[n * hills.ndim + args.first_axis];
    const Real inverse = Real(1) / hills.sigmas[n * hills.sigma_stride + args.first_axis];
#pragma unroll 1
    for (long long row = threadIdx.x / octet; row < args.rows; row += step)
      to[row * octet] = scale * factor_of_axis(args, center, inverse, row);
    return;
  }
#pragma unroll 1
  for (long long row = threadIdx.x / octet; row < args.rows; row += step)
    to[row * octet] = there ? scale * factor(args, n, row) : Real(0);
}

template <typename Real>
struct Vector;
template <>
struct Vector<double> {
  using Type = double2;
};
template <>
struct Vector<float> {
  using Type = float4;
};

__device__ inline void copy_16_bytes(void *to, const void *from) {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(
                   static_cast<unsigned>(__cvta_generic_to_shared(to))),
               "l"(from));
#else
  *static_cast<int4 *>(to) = *static_cast<const int4 *>(from);
#endif
}

__device__ inline void commit_copies() {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.commit_group;");
#endif
}

// Waits until all copies that were committed are there, but those of the last `PENDING` commits.
template <int PENDING>
__device__ inline void await_copies() {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.wait_group %0;" ::"n"(PENDING));
#endif
}

// A barrier of the block in two parts. A thread says that it is done with something, goes on with
// what needs nobody, and waits for the others later: by then they have come, as a rule.
class SplitBarrier {
 public:
  // All threads of the block synchronize between this and the first use.
  __device__ explicit SplitBarrier(unsigned char *state)
      : at_(static_cast<unsigned>(__cvta_generic_to_shared(state))) {
#if __CUDA_ARCH__ >= 800
    if (threadIdx.x == 0)
      asm volatile("mbarrier.init.shared.b64 [%0], %1;" ::"r"(at_), "n"(block_size));
#endif
  }
  __device__ void arrive() {
#if __CUDA_ARCH__ >= 800
    asm volatile("{ .reg .b64 state; mbarrier.arrive.shared.b64 state, [%0]; }" ::"r"(at_)
                 : "memory");
#endif
  }
  // Waits for the arrivals of the `phase`-th time.
  __device__ void wait(int phase) {
#if __CUDA_ARCH__ >= 800
    asm volatile(
        "{ .reg .pred done;\n"
        "again%=: mbarrier.test_wait.parity.shared.b64 done, [%0], %1;\n"
        "@!done bra again%=; }" ::"r"(at_),
        "r"(phase % 2)
        : "memory");
#else
    __syncthreads();
#endif
  }

 private:
  unsigned at_;
};

// Copies the rows of a block, stage after stage, from the three tables.
template <typename Real, int OCTETS>
class Loader {
 public:
  __device__ Loader(const ProductArgs<Real> &args, long long first, int u, int v, int w,
                    int columns)
      : rows_(args.tile_u + args.tile_v + columns) {
#pragma unroll
    for (int s = 0; s < slots; ++s) {
      const int chunk = threadIdx.x + s * block_size;
      const int row = chunk / chunks_per_row;
      const Real *table = args.u;
      int rows = args.rows_u, at = u + row;
      if (row >= args.tile_u) {
        table = args.v, rows = args.rows_v, at = v + row - args.tile_u;
      }
      if (row >= args.tile_u + args.tile_v) {
        table = args.w, rows = args.rows_w, at = w + row - args.tile_u - args.tile_v;
      }
      // Rows beyond a table's end repeat its last one; what comes of them is not stored.
      from_[s] = table + (first * rows + min(at, rows - 1)) * octet +
                 chunk % chunks_per_row * lanes_of<Real>;
      step_[s] = row < rows_ ? rows * octet : 0;
    }
  }
  __device__ void load(Real *stage) {
#pragma unroll
    for (int s = 0; s < slots; ++s) {
      if (step_[s] == 0) continue;
      Real *to = stage + (threadIdx.x + s * block_size) * lanes_of<Real>;
#pragma unroll
      for (int o = 0; o < OCTETS; ++o) {
        copy_16_bytes(to + o * rows_ * octet, from_[s]);
        from_[s] += step_[s];
      }
    }
  }

 private:
  static constexpr int chunks_per_row = octet / lanes_of<Real>;
  static constexpr int slots = stage_rows * chunks_per_row / block_size;
  const Real *from_[slots];
  int step_[slots];
  int rows_;
};

// The part of a tile that a thread sums: of each 16 x 8 block of its warp's, rows `group` and
// `group` + 8 and two columns. That is the layout of the tensor cores' results.
template <typename Real, int MT, int NT, int WARPS_W, int TILES_W, int OCTETS>
class Accumulator {
 public:
  static constexpr int columns = 8 * TILES_W;

  __device__ Accumulator(const ProductArgs<Real> &args)
      : octet_size_((args.tile_u + args.tile_v + columns) * octet) {
    const int group = threadIdx.x % 32 / 4;
#pragma unroll
    for (int m = 0; m < 2 * MT; ++m) {
      const int row = row_of(m, group);
      const int u = row < args.tile_u * args.tile_v ? row / args.tile_v : 0;
      at_u_[m] = u * octet;
      at_v_[m] = (args.tile_u + min(row - u * args.tile_v, args.tile_v - 1)) * octet;
    }
    at_w_ = (args.tile_u + args.tile_v + first_tile() * 8) * octet;
    clear();
  }

  // Makes what is needed first of a stage.
  __device__ void prepare(const Real *from) {
#if __CUDA_ARCH__ >= 800
    if constexpr (sizeof(Real) == 8)
#pragma unroll
      for (int part = 0; part < 4 * MT; ++part) make_products(from, part, products_[0]);
#endif
  }
  // Adds a stage, which was prepared, and prepares the next. `arrive` is called when the stage
  // before is no longer read, `await_next` before the next is read, `load_another` after that.
  template <typename Arrive, typename Await, typename Load>
  __device__ void add(const Real *from, const Real *next, Arrive arrive, Await await_next,
                      Load load_another) {
#if __CUDA_ARCH__ >= 800
    if constexpr (sizeof(Real) == 8) {
      constexpr int steps = OCTETS / 2;
#pragma unroll
      for (int i = 0; i < steps; ++i) {
        const bool last = i == steps - 1;
        if (last) await_next();
        const Real *const two = from + i * 2 * octet_size_;
        add_by_tensor_cores(two, last ? next : two + 2 * octet_size_, products_[i % 2],
                            products_[1 - i % 2], [&] {
                              if (i == steps / 2 - 1) arrive();
                              if (last) load_another();
                            });
      }
      return;
    }
#endif
    arrive();
    await_next();
    load_another();
#pragma unroll 1
    for (int o = 0; o < OCTETS; ++o) add_by_fma(from + o * octet_size_);
  }

  // Adds to the sums in memory, or sets them.
  __device__ void flush(const ProductArgs<Real> &args, double *sums, int u, int v, int w,
                        bool accumulate) {
    const int group = threadIdx.x % 32 / 4;
#pragma unroll
    for (int m = 0; m < 2 * MT; ++m) {
      const int row = row_of(m, group);
      const int at_u = u + row / args.tile_v, at_v = v + row % args.tile_v;
      if (row >= args.tile_u * args.tile_v || at_u >= args.rows_u || at_v >= args.rows_v) continue;
      double *to = sums + (static_cast<long long>(at_u) * args.rows_v + at_v) * args.rows_w;
#pragma unroll
      for (int n = 0; n < NT; ++n)
#pragma unroll
        for (int e = 0; e < 2; ++e) {
          const int column = w + (first_tile() + n) * 8 + column_of(e);
          if (!is_there(n) || column >= args.rows_w) continue;
          const double before = accumulate ? to[column] : 0.0;
          to[column] = before + sum_[m / 2][n][m % 2 * 2 + e];
        }
    }
    clear();
  }

 private:
  __device__ static int row_of(int m, int group) {
    const int warp_u = threadIdx.x / 32 % (block_size / 32 / WARPS_W);
    return warp_u * 16 * MT + m * 8 + group;
  }
  // Warps that share a scheduler (every fourth) have different columns: where those are not as
  // many, each scheduler still has as much to do.
  __device__ static int first_tile() { return threadIdx.x / 32 / (block_size / 32 / WARPS_W) * NT; }
  // Whether the warp has an n-th tile: the last warps may have fewer.
  __device__ static bool is_there(int n) {
    return n < NT - (NT * WARPS_W - TILES_W) || first_tile() + n < TILES_W;
  }
  __device__ static int column_of(int e) {
    const int thread = threadIdx.x % 4;
#if __CUDA_ARCH__ >= 800
    if constexpr (sizeof(Real) == 8) return 2 * thread + e;
#endif
    return thread + 4 * e;
  }

  __device__ void clear() {
#pragma unroll
    for (int m = 0; m < MT; ++m)
#pragma unroll
      for (int n = 0; n < NT; ++n)
#pragma unroll
        for (int e = 0; e < 4; ++e) sum_[m][n][e] = 0;
  }

#if __CUDA_ARCH__ >= 800
  // The factors of two octets at one column, as the tensor cores take them.
  struct Columns {
    double2 octets[2];
  };
  // The products of two octets, for 16 rows.
  struct Products {
    double octets[2][4];
  };

  // c += a b, of 16 x 16 by 16 x 8 numbers.
  __device__ static void multiply(double *c, const Products &a, const Columns &b) {
#if __CUDA_ARCH__ >= 900
    const double *const first = a.octets[0], *const second = a.octets[1];
    asm("mma.sync.aligned.m16n8k16.row.col.f64.f64.f64.f64 {%0,%1,%2,%3}, "
        "{%4,%5,%6,%7,%8,%9,%10,%11}, {%12,%13,%14,%15}, {%0,%1,%2,%3};"
        : "+d"(c[0]), "+d"(c[1]), "+d"(c[2]), "+d"(c[3])
        : "d"(first[0]), "d"(first[1]), "d"(first[2]), "d"(first[3]), "d"(second[0]),
          "d"(second[1]), "d"(second[2]), "d"(second[3]), "d"(b.octets[0].x), "d"(b.octets[0].y),
          "d"(b.octets[1].x), "d"(b.octets[1].y));
#else
#pragma unroll
    for (int k = 0; k < 4; ++k)
#pragma unroll
      for (int half = 0; half < 2; ++half)
        asm("mma.sync.aligned.m8n8k4.row.col.f64.f64.f64.f64 {%0,%1}, {%2}, {%3}, {%0,%1};"
            : "+d"(c[2 * half]), "+d"(c[2 * half + 1])
            : "d"(a.octets[k / 2][half + k % 2 * 2]),
              "d"(k % 2 == 0 ? b.octets[k / 2].x : b.octets[k / 2].y));
#endif
  }

  // A part of the products of the first two groups' factors: one row and one of two octets. Which
  // of the sixteen hills is which k of the instruction is free, as long as a and b agree: a thread
  // takes two neighbours of an octet, one load.
  __device__ void make_products(const Real *from, int part, Products (&products)[MT]) {
    const int m = part % (2 * MT), which = part / (2 * MT);
    const Real *const pair = from + which * octet_size_ + threadIdx.x % 4 * 2;
    const double2 u = *reinterpret_cast<const double2 *>(pair + at_u_[m]);
    const double2 v = *reinterpret_cast<const double2 *>(pair + at_v_[m]);
    products[m / 2].octets[which][m % 2] = u.x * v.x;
    products[m / 2].octets[which][m % 2 + 2] = u.y * v.y;
  }
  __device__ Columns fetch_columns(const Real *from) const {
    return {{*reinterpret_cast<const double2 *>(from),
             *reinterpret_cast<const double2 *>(from + octet_size_)}};
  }

  // Adds two octets that were prepared, and prepares the next two; `meanwhile` is called when the
  // tensor cores have something to do.
  template <typename Call>
  __device__ void add_by_tensor_cores(const Real *from, const Real *next,
                                      const Products (&products)[MT], Products (&prepared)[MT],
                                      Call meanwhile) {
    constexpr int parts = 4 * MT, at_once = (parts + NT - 1) / NT;
    const Real *columns_from = from + at_w_ + threadIdx.x % 32 / 4 * octet + threadIdx.x % 4 * 2;
    Columns b[2];
    b[0] = fetch_columns(columns_from);
#pragma unroll
    for (int n = 0; n < NT; ++n) {
      // One load ahead of the tensor cores.
      if (n + 1 < NT && is_there(n + 1))
        b[(n + 1) % 2] = fetch_columns(columns_from + (n + 1) * 8 * octet);
      if (is_there(n))
#pragma unroll
        for (int m = 0; m < MT; ++m) multiply(sum_[m][n], products[m], b[n % 2]);
      if (n == 0) meanwhile();
      // What is needed first of the next octets is made bit by bit: in one go, it would hold up the
      // loads of these.
#pragma unroll
      for (int part = n * at_once; part < (n + 1) * at_once && part < parts; ++part)
        make_products(next, part, prepared);
    }
  }
#endif

  __device__ void add_by_fma(const Real *stage) {
    using Vec = typename Vector<Real>::Type;
    constexpr int lanes = lanes_of<Real>;
    const Real *from = stage + at_w_ + threadIdx.x % 4 * octet;
#pragma unroll 1
    for (int part = 0; part < octet; part += lanes) {
      Real a[2 * MT][lanes];
#pragma unroll
      for (int m = 0; m < 2 * MT; ++m) {
        Real u[lanes], v[lanes];
        *reinterpret_cast<Vec *>(u) = *reinterpret_cast<const Vec *>(stage + at_u_[m] + part);
        *reinterpret_cast<Vec *>(v) = *reinterpret_cast<const Vec *>(stage + at_v_[m] + part);
#pragma unroll
        for (int k = 0; k < lanes; ++k) a[m][k] = u[k] * v[k];
      }
#pragma unroll
      for (int n = 0; n < NT; ++n) {
        if (!is_there(n)) continue;
#pragma unroll
        for (int e = 0; e < 2; ++e) {
          Real b[lanes];
          *reinterpret_cast<Vec *>(b) =
              *reinterpret_cast<const Vec *>(from + (n * 8 + e * 4) * octet + part);
#pragma unroll
          for (int m = 0; m < 2 * MT; ++m)
#pragma unroll
            for (int k = 0; k < lanes; ++k) sum_[m / 2][n][m % 2 * 2 + e] += a[m][k] * b[k];
        }
      }
    }
  }

  int octet_size_;
  int at_u_[2 * MT], at_v_[2 * MT], at_w_;
#if __CUDA_ARCH__ >= 800
  Products products_[2][MT];
#endif
  Real sum_[MT][NT][4];
};

// MT x NT blocks of 16 x 8 a warp, WARPS_W warps side by side, TILES_W blocks across, stages of
// OCTETS octets.
template <typename Real, int MT, int NT, int WARPS_W, int TILES_W, int OCTETS>
__device__ inline void multiply_factors(const ProductArgs<Real> &args) {
  extern __shared__ __align__(16) unsigned char shared[];
  Real *const buffer = reinterpret_cast<Real *>(shared + barrier_bytes);
  const int octet_size = (args.tile_u + args.tile_v + 8 * TILES_W) * octet;
  unsigned tile = args.first_tile + blockIdx.x;
  const int w = static_cast<int>(tile % args.tiles_w) * 8 * TILES_W;
  tile /= args.tiles_w;
  const int v = static_cast<int>(tile % args.tiles_v) * args.tile_v;
  const int u = static_cast<int>(tile / args.tiles_v) * args.tile_u;
  const int first = blockIdx.y * args.octets_per_split;
  const int count = (min(args.octets_per_split, args.octets - first)) / OCTETS;
  double *sums = args.sums + blockIdx.y * args.size;

  SplitBarrier barrier(shared);
  Loader<Real, OCTETS> loader(args, first, u, v, w, 8 * TILES_W);
  Accumulator<Real, MT, NT, WARPS_W, TILES_W, OCTETS> accumulator(args);
  const auto stage = [&](int k) { return buffer + k % stages * OCTETS * octet_size; };
  for (int k = 0; k < stages - 1; ++k) {
    if (k < count) loader.load(stage(k));
    commit_copies();
  }
  await_copies<stages - 2>();
  __syncthreads();
  if (count > 0) accumulator.prepare(stage(0));
  bool accumulate = args.accumulate != 0;
  int k = 0;
  do {
    for (const int end = min(k + octets_per_flush / OCTETS, count); k < end; ++k) {
      // When everybody has arrived, the next stage is there, and nobody reads the one that is
      // filled next.
      const auto arrive = [&] {
        await_copies<stages - 3>();
        barrier.arrive();
      };
      const auto await_next = [&] { barrier.wait(k); };
      const auto load_another = [&] {
        if (k + stages - 1 < count) loader.load(stage(k + stages - 1));
        commit_copies();
      };
      accumulator.add(stage(k), k + 1 < count ? stage(k + 1) : stage(k), arrive, await_next,
                      load_another);
    }
    accumulator.flush(args, sums, u, v, w, accumulate);
    accumulate = true;
  } while (k < count);
}

#endif  // __CUDACC__

}  // namespace cufes

#endif  // CUFES_SEPARABLE_CUH
