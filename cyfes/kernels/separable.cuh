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

// Shared memory holds a few stages: some are being read, some are on their way.
constexpr int stages = 3;
constexpr int octets_per_stage = 4;
// The most rows of a stage, of all three tables.
constexpr int stage_rows = 256;
// Stages of hills that are added up in registers before the sum goes to memory: a sum of sums has
// a smaller rounding error than one long sum.
constexpr int stages_per_flush = 128;

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

// A block makes the rows of one octet of hills.
template <typename Real>
__device__ inline void make_factors(const FactorArgs<Real> &args) {
  const long long n = args.first + blockIdx.x * static_cast<long long>(octet) + threadIdx.x % octet;
  Real *to = args.table + blockIdx.x * args.rows * octet + threadIdx.x % octet;
  const bool there = n < args.end;
  Real scale = there ? Real(1) : Real(0);
  if (there && args.weighted)
    scale = weight(args.hills.heights[n], args.logarithmic != 0, args.largest);
#pragma unroll 1
  for (long long row = threadIdx.x / octet; row < args.rows; row += block_size / octet)
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

// Copies the rows of a block, stage after stage, from the three tables.
template <typename Real>
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
      for (int o = 0; o < octets_per_stage; ++o) {
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
template <typename Real, int MT, int NT, int WARPS_W, int TILES_W>
class Accumulator {
 public:
  static constexpr int columns = 8 * TILES_W;

  __device__ Accumulator(const ProductArgs<Real> &args) {
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

  // Fetches what is needed first of an octet, while the one before is being added.
  __device__ void prepare(const Real *from) {
#if __CUDA_ARCH__ >= 800
    if constexpr (sizeof(Real) == 8)
#pragma unroll
      for (int m = 0; m < 2 * MT; ++m) make_products(from, m, products_[0]);
#endif
  }
  // Adds a stage, of which the first octet was prepared, and prepares the first of the next.
  template <typename Await, typename Load>
  __device__ void add(const Real *from, const Real *next, int octet_size, Await await_next,
                      Load load_another) {
#if __CUDA_ARCH__ >= 800
    if constexpr (sizeof(Real) == 8) {
      static_assert(octets_per_stage == 4, "as many are added here");
      add_by_tensor_cores<0>(from, from + octet_size, [] {});
      add_by_tensor_cores<1>(from + octet_size, from + 2 * octet_size, [] {});
      add_by_tensor_cores<0>(from + 2 * octet_size, from + 3 * octet_size, [] {});
      await_next();
      add_by_tensor_cores<1>(from + 3 * octet_size, next, load_another);
      return;
    }
#endif
    await_next();
    load_another();
#pragma unroll 1
    for (int o = 0; o < octets_per_stage; ++o) add_by_fma(from + o * octet_size);
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
  // c += a b, of 16 x 8 by 8 x 8 numbers.
  __device__ static void multiply(double *c, const double *a, double2 b) {
#if __CUDA_ARCH__ >= 900
    asm("mma.sync.aligned.m16n8k8.row.col.f64.f64.f64.f64 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
        "{%0,%1,%2,%3};"
        : "+d"(c[0]), "+d"(c[1]), "+d"(c[2]), "+d"(c[3])
        : "d"(a[0]), "d"(a[1]), "d"(a[2]), "d"(a[3]), "d"(b.x), "d"(b.y));
#else
#pragma unroll
    for (int half = 0; half < 2; ++half)
#pragma unroll
      for (int k = 0; k < 2; ++k)
        asm("mma.sync.aligned.m8n8k4.row.col.f64.f64.f64.f64 {%0,%1}, {%2}, {%3}, {%0,%1};"
            : "+d"(c[2 * half]), "+d"(c[2 * half + 1])
            : "d"(a[half + 2 * k]), "d"(k == 0 ? b.x : b.y));
#endif
  }

  // The products of the first two groups' factors, as the tensor cores take them. Which of the
  // eight hills is which k of the instruction is free, as long as a and b agree: a thread takes two
  // neighbours, one load.
  __device__ void make_products(const Real *from, int m, Real (&products)[MT][4]) {
    const int pair = threadIdx.x % 4 * 2;
    const double2 u = *reinterpret_cast<const double2 *>(from + at_u_[m] + pair);
    const double2 v = *reinterpret_cast<const double2 *>(from + at_v_[m] + pair);
    products[m / 2][m % 2] = u.x * v.x;
    products[m / 2][m % 2 + 2] = u.y * v.y;
  }

  // Adds an octet that was prepared, and prepares the next; `meanwhile` is called when the tensor
  // cores have something to do.
  template <int TURN, typename Call>
  __device__ void add_by_tensor_cores(const Real *from, const Real *next, Call meanwhile) {
    const Real(&a)[MT][4] = products_[TURN];
    static_assert(2 * MT <= NT, "else the products are not all made");
    const Real *columns_from = from + at_w_ + threadIdx.x % 32 / 4 * octet + threadIdx.x % 4 * 2;
    double2 b[2];
    b[0] = *reinterpret_cast<const double2 *>(columns_from);
#pragma unroll
    for (int n = 0; n < NT; ++n) {
      // One load ahead of the tensor cores.
      if (n + 1 < NT && is_there(n + 1))
        b[(n + 1) % 2] = *reinterpret_cast<const double2 *>(columns_from + (n + 1) * 8 * octet);
      if (is_there(n))
#pragma unroll
        for (int m = 0; m < MT; ++m) multiply(sum_[m][n], a[m], b[n % 2]);
      if (n == 0) meanwhile();
      // What the next octet needs first is fetched bit by bit: in one go, it would hold up the
      // loads of this one.
      if (n < 2 * MT) make_products(next, n, products_[1 - TURN]);
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

  int at_u_[2 * MT], at_v_[2 * MT], at_w_;
  Real products_[2][MT][4];
  Real sum_[MT][NT][4];
};

// MT x NT blocks of 16 x 8 a warp, WARPS_W warps side by side, TILES_W blocks across.
template <typename Real, int MT, int NT, int WARPS_W, int TILES_W>
__device__ inline void multiply_factors(const ProductArgs<Real> &args) {
  extern __shared__ __align__(16) unsigned char shared[];
  Real *const buffer = reinterpret_cast<Real *>(shared);
  const int octet_size = (args.tile_u + args.tile_v + 8 * TILES_W) * octet;
  unsigned tile = args.first_tile + blockIdx.x;
  const int w = static_cast<int>(tile % args.tiles_w) * 8 * TILES_W;
  tile /= args.tiles_w;
  const int v = static_cast<int>(tile % args.tiles_v) * args.tile_v;
  const int u = static_cast<int>(tile / args.tiles_v) * args.tile_u;
  const int first = blockIdx.y * args.octets_per_split;
  const int count = (min(args.octets_per_split, args.octets - first)) / octets_per_stage;
  double *sums = args.sums + blockIdx.y * args.size;

  Loader<Real> loader(args, first, u, v, w, 8 * TILES_W);
  Accumulator<Real, MT, NT, WARPS_W, TILES_W> accumulator(args);
  const auto stage = [&](int k) { return buffer + k % stages * octets_per_stage * octet_size; };
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
    for (const int end = min(k + stages_per_flush, count); k < end; ++k) {
      // When all but its last octet are added, the next stage is there, and everybody is done with
      // the one that is filled next.
      const auto await_next = [&] {
        await_copies<stages - 3>();
        __syncthreads();
      };
      const auto load_another = [&] {
        if (k + stages - 1 < count) loader.load(stage(k + stages - 1));
        commit_copies();
      };
      accumulator.add(stage(k), k + 1 < count ? stage(k + 1) : stage(k), octet_size, await_next,
                      load_another);
    }
    accumulator.flush(args, sums, u, v, w, accumulate);
    accumulate = true;
  } while (k < count);
}

#endif  // __CUDACC__

}  // namespace cufes

#endif  // CUFES_SEPARABLE_CUH
