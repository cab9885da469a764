// Compiled once for each instruction set, under the name CUFES_ISA. It must instantiate nothing
// from the standard library: the linker keeps one copy of a template, perhaps one that this CPU
// lacks.
#include "cpu_kernels.hpp"

#include <cstring>

#if defined(__AVX__)
#include <immintrin.h>
#endif

#include "FES.cuh"

namespace cufes {
namespace {

template <typename Real>
struct Exponential;

template <>
struct Exponential<double> {
  using Integer = std::int64_t;
  using Unsigned = std::uint64_t;
  static constexpr int mantissa = 52;
  static constexpr Integer bias = 1023;
  static constexpr double shifter = 0x1.8p52;
  static constexpr double ln2_high = 0x1.62e42fefa0000p-1;
  static constexpr double ln2_low = 0x1.cf79abc9e3b3ap-40;
  static constexpr double limit = 708.0;  // beyond, exp(-d) is not a normal number
  static constexpr int degree = 13;
};

template <>
struct Exponential<float> {
  using Integer = std::int32_t;
  using Unsigned = std::uint32_t;
  static constexpr int mantissa = 23;
  static constexpr Integer bias = 127;
  static constexpr float shifter = 0x1.8p23f;
  static constexpr float ln2_high = 0x1.62e4p-1f;
  static constexpr float ln2_low = 0x1.7f7d1cp-20f;
  static constexpr float limit = 87.0f;
  static constexpr int degree = 7;
};

// 1 / k!, the coefficients of the Taylor series.
constexpr double inverse_factorial[] = {1.0,
                                        1.0,
                                        1.0 / 2,
                                        1.0 / 6,
                                        1.0 / 24,
                                        1.0 / 120,
                                        1.0 / 720,
                                        1.0 / 5040,
                                        1.0 / 40320,
                                        1.0 / 362880,
                                        1.0 / 3628800,
                                        1.0 / 39916800,
                                        1.0 / 479001600,
                                        1.0 / 6227020800};

// Nearest integer by adding and taking away a number whose last place is 1; it needs no instruction
// that some CPUs lack and it vectorises.
template <typename Real>
inline Real nearest(Real x) {
  return (x + Exponential<Real>::shifter) - Exponential<Real>::shifter;
}

// exp(-d) for d >= 0, to about one unit in the last place; 0 where it is below the normal numbers.
// exp(-d) = 2^n exp(r) with |r| <= ln 2 / 2, and the Taylor series of exp(r). Inline and without a
// branch, so that loops over it vectorise.
template <typename Real>
inline Real exp_minus(Real d) {
  using E = Exponential<Real>;
  using Integer = typename E::Integer;
  const Real x = d < E::limit ? -d : -E::limit;
  const Real shifted = x * Real(1.4426950408889634) + E::shifter;
  const Real n = shifted - E::shifter;
  const Real r = (x - n * E::ln2_high) - n * E::ln2_low;
  Real sum = Real(inverse_factorial[E::degree]);
#pragma GCC unroll 16
  for (int k = E::degree - 1; k >= 0; --k) sum = sum * r + Real(inverse_factorial[k]);
  Integer bits;
  std::memcpy(&bits, &shifted, sizeof bits);
  // The low bits of `shifted` are n; what is above the exponent's place is shifted out.
  bits = static_cast<Integer>(static_cast<typename E::Unsigned>(bits + E::bias) << E::mantissa);
  Real power;
  std::memcpy(&power, &bits, sizeof power);
  return d < E::limit ? sum * power : Real(0);
}

// Hills whose sum is kept in the lanes' own precision before it goes to a double.
constexpr int batch_size = 256;

// d += 1/2 (x - center)^2 / sigma^2 along one axis. PERIODIC: of the minimum image.
template <bool PERIODIC, typename Real>
inline void add_half_squares(const PointsBlock<Real> &block, int i, Real center, Real inverse,
                             Real *d) {
  const Real period = block.period[i];
  const Real inverse_period = block.inverse_period[i];
  const Real *x = block.x[i];
  for (int lane = 0; lane < lanes; ++lane) {
    Real difference = x[lane] - center;
    if (PERIODIC) difference -= period * nearest(difference * inverse_period);
    difference *= inverse;
    d[lane] += Real(0.5) * difference * difference;
  }
}

// The differences x - center in the hill's own units: u = L^T (x - center), so that d = 1/2 |u|^2.
template <typename Real>
inline void whiten(const PointsBlock<Real> &block, std::int64_t n, Real (*u)[lanes]) {
  const Real *sigma = block.sigmas + n * block.sigma_stride;
  for (int i = 0; i < block.ndim; ++i) {
    const Real center = block.centers[n * block.ndim + i];
    const Real period = block.period[i];
    const Real inverse_period = block.inverse_period[i];
    const Real inverse = block.multivariate ? Real(1) : Real(1) / sigma[i];
    for (int lane = 0; lane < lanes; ++lane) {
      const Real difference = block.x[i][lane] - center;
      u[i][lane] = (difference - period * nearest(difference * inverse_period)) * inverse;
    }
  }
  if (!block.multivariate) return;
  // In place: u_j needs the differences from axis j on.
  for (int j = 0; j < block.ndim; ++j) {
    const Real diagonal = sigma[j * (j + 1) / 2 + j];
    for (int lane = 0; lane < lanes; ++lane) u[j][lane] *= diagonal;
    for (int i = j + 1; i < block.ndim; ++i) {
      const Real element = sigma[i * (i + 1) / 2 + j];
      for (int lane = 0; lane < lanes; ++lane) u[j][lane] += element * u[i][lane];
    }
  }
}

template <typename Real>
inline void add_squares(const PointsBlock<Real> &block, const Real (*u)[lanes], Real *d) {
  for (int i = 0; i < block.ndim; ++i)
    for (int lane = 0; lane < lanes; ++lane) d[lane] += Real(0.5) * u[i][lane] * u[i][lane];
}

template <typename Real>
inline void half_squares(const PointsBlock<Real> &block, std::int64_t n, Real *d) {
  for (int lane = 0; lane < lanes; ++lane) d[lane] = 0;
  if (block.multivariate) {
    Real u[CUFES_MAX_DIM][lanes];
    whiten(block, n, u);
    return add_squares(block, u, d);
  }
  for (int i = 0; i < block.ndim; ++i) {
    const Real center = block.centers[n * block.ndim + i];
    const Real inverse = Real(1) / block.sigmas[n * block.sigma_stride + i];
    if (block.period[i] > 0)
      add_half_squares<true>(block, i, center, inverse, d);
    else
      add_half_squares<false>(block, i, center, inverse, d);
  }
}

template <typename Real>
inline bool any_within_reach(const Real *d) {
  int within = 0;
  for (int lane = 0; lane < lanes; ++lane) within += d[lane] < Real(stretch_cutoff);
  return within > 0;
}

template <typename Real>
inline void add_hill(bool stretched, Real height, const Real *d, Real *sum) {
  if (stretched) {
    if (!any_within_reach(d)) return;
    for (int lane = 0; lane < lanes; ++lane) {
      const Real value = Real(stretch_a) * exp_minus(d[lane]) + Real(stretch_b);
      sum[lane] += d[lane] < Real(stretch_cutoff) ? height * value : Real(0);
    }
  } else {
    for (int lane = 0; lane < lanes; ++lane) sum[lane] += height * exp_minus(d[lane]);
  }
}

// Adds hills; whatever parts they come in, multiples of a batch give the same bits.
template <typename Real>
void values(PointsBlock<Real> &block) {
  for (std::int64_t first = block.begin; first < block.end; first += batch_size) {
    const std::int64_t rest = block.end - first;
    const std::int64_t end = first + (rest < batch_size ? rest : batch_size);
    Real sum[lanes] = {};
    for (std::int64_t n = first; n < end; ++n) {
      Real d[lanes];
      half_squares(block, n, d);
      add_hill(block.stretched, block.heights[n], d, sum);
    }
    for (int lane = 0; lane < lanes; ++lane) block.total[lane] += sum[lane];
  }
}

// The derivative of -d along axis i, -(L u)_i.
template <typename Real>
inline void slope_along(const PointsBlock<Real> &block, std::int64_t n, int i,
                        const Real (*u)[lanes], Real *slope) {
  const Real *sigma = block.sigmas + n * block.sigma_stride;
  for (int lane = 0; lane < lanes; ++lane) slope[lane] = 0;
  for (int j = block.multivariate ? 0 : i; j <= i; ++j) {
    const Real factor = block.multivariate ? sigma[i * (i + 1) / 2 + j] : Real(1) / sigma[i];
    for (int lane = 0; lane < lanes; ++lane) slope[lane] -= factor * u[j][lane];
  }
}

template <typename Real>
inline void scale_lanes(const Real *times, Real *steep, Real *value) {
  for (int lane = 0; lane < lanes; ++lane) {
    steep[lane] *= times[lane];
    value[lane] *= times[lane];
  }
}

template <typename Real>
void gradient(PointsBlock<Real> &block) {
  for (std::int64_t n = block.begin; n < block.end; ++n) {
    Real u[CUFES_MAX_DIM][lanes], d[lanes] = {}, steep[lanes], value[lanes], slope[lanes];
    whiten(block, n, u);
    add_squares(block, u, d);
    if (block.stretched && !any_within_reach(d)) continue;
    const Real height = block.heights[n];
    const Real scale = block.stretched ? Real(stretch_a) * height : height;
    const Real offset = block.stretched ? Real(stretch_b) * height : Real(0);
    for (int lane = 0; lane < lanes; ++lane) {
      const bool within = !block.stretched || d[lane] < Real(stretch_cutoff);
      steep[lane] = within ? scale * exp_minus(d[lane]) : Real(0);
      value[lane] = steep[lane] + (within ? offset : Real(0));
    }
    if (block.times) scale_lanes(block.times + n * lanes, steep, value);
    for (int lane = 0; lane < lanes; ++lane) block.total[lane] += value[lane];
    for (int i = 0; i < block.ndim; ++i) {
      slope_along(block, n, i, u, slope);
      for (int lane = 0; lane < lanes; ++lane) block.gradient[i][lane] += slope[lane] * steep[lane];
    }
  }
}

// Few enough that the exponents of a batch stay in the first-level cache.
constexpr int log_batch_size = 32;

// Adds hills given by their exponents h - d to the sums, in units of the largest term so far.
template <typename Real>
inline void add_batch(const Real (*exponent)[lanes], int count, PointsBlock<Real> &block) {
  Real larger[lanes], sum[lanes];
  for (int lane = 0; lane < lanes; ++lane) larger[lane] = block.largest[lane];
  for (int k = 0; k < count; ++k)
    for (int lane = 0; lane < lanes; ++lane)
      larger[lane] = exponent[k][lane] > larger[lane] ? exponent[k][lane] : larger[lane];
  for (int lane = 0; lane < lanes; ++lane) {
    // Before the first batch the largest is minus infinity, and this is 0 times 0.
    block.total[lane] *= exp_minus(larger[lane] - block.largest[lane]);
    block.largest[lane] = larger[lane];
    sum[lane] = 0;
  }
  for (int k = 0; k < count; ++k)
    for (int lane = 0; lane < lanes; ++lane)
      sum[lane] += exp_minus(larger[lane] - exponent[k][lane]);
  for (int lane = 0; lane < lanes; ++lane) block.total[lane] += sum[lane];
}

template <typename Real>
void logarithms(PointsBlock<Real> &block) {
  for (std::int64_t first = block.begin; first < block.end; first += log_batch_size) {
    const std::int64_t rest = block.end - first;
    const int count = static_cast<int>(rest < log_batch_size ? rest : log_batch_size);
    Real exponent[log_batch_size][lanes];
    for (int k = 0; k < count; ++k) {
      Real d[lanes];
      half_squares(block, first + k, d);
      const Real height = block.heights[first + k];
      for (int lane = 0; lane < lanes; ++lane) exponent[k][lane] = height - d[lane];
    }
    add_batch(exponent, count, block);
  }
}

// A vector of this instruction set.
#if defined(__AVX512F__)
constexpr int width = 8;
#elif defined(__AVX__)
constexpr int width = 4;
#else
constexpr int width = 2;
#endif
typedef double Vector __attribute__((vector_size(8 * width)));
typedef double Unaligned __attribute__((vector_size(8 * width), aligned(8), may_alias));

inline Vector load(const double *from) { return *reinterpret_cast<const Unaligned *>(from); }
inline void store(double *to, Vector x) { *reinterpret_cast<Unaligned *>(to) = x; }
// x where it is positive, else 0.
inline Vector positive(Vector x) {
  const Vector none = {};
#if defined(__AVX512F__)
  return _mm512_max_pd(x, none);
#elif defined(__AVX__)
  return _mm256_max_pd(x, none);
#else
  return x > none ? x : none;
#endif
}

// Far beyond every cut-off: where a boxed hill ends.
constexpr double outside = 1e300;

// Where the hills of a tile end: nowhere, at a box of bins, or at a distance.
enum class Ending { none, box, distance };

// A hill along an axis. Its width is sigma where it ends at a distance, or else 1 / sigma. The bins
// are those of a boxed kernel: of its centre, and how far it goes.
struct AxisHill {
  double center;
  double width;
  double bin;
  double bins;
};

// Whether a distance is divided by the width. This quotient is PLUMED's, to the last bit: at the
// very cut-off a hill has a slope or has none. Its value is 0 there, so that a product will do.
template <Ending ENDING, bool SLOPES>
constexpr bool by_quotient = ENDING == Ending::distance && SLOPES;

template <Ending ENDING, bool SLOPES>
inline AxisHill hill_along(const TileBatch &batch, int i, int h) {
  const TileAxis &axis = batch.axes[i];
  const double sigma = batch.sigma[i][h];
  AxisHill hill{batch.center[i][h], by_quotient<ENDING, SLOPES> ? sigma : 1.0 / sigma, 0, 0};
  if (ENDING != Ending::box) return hill;
  hill.bin = __builtin_floor((hill.center - axis.lower) / axis.spacing);
  hill.bins = __builtin_ceil(reach * sigma / axis.spacing);
  return hill;
}

// One hill at one point along an axis.
struct AxisPoint {
  double half_square;
  double slope;
};

template <Ending ENDING, bool SLOPES>
inline AxisPoint along_axis(const TileAxis &axis, double x, double index, const AxisHill &hill) {
  const double difference = x - hill.center;
  const double image = difference - axis.period * nearest(difference * axis.inverse_period);
  constexpr bool quotient = by_quotient<ENDING, SLOPES>;
  const double scaled = quotient ? image / hill.width : image * hill.width;
  double d = 0.5 * scaled * scaled;
  if (ENDING == Ending::box) {
    double distance = index - hill.bin;
    if (axis.period > 0) distance -= axis.period_points * nearest(distance / axis.period_points);
    d = __builtin_fabs(distance) <= hill.bins ? d : outside;
  }
  return {d, quotient ? -scaled / hill.width : -scaled * hill.width};
}

inline double smaller(double a, double b) { return a < b ? a : b; }

// The table of a leading axis, [point][hill]. Without a gradient nobody needs the slopes.
template <Ending ENDING, bool SLOPES>
void fill_leading(TileBatch &batch, int i) {
  const TileAxis axis = batch.axes[i];
  double *__restrict half_square = batch.tables[i].half_square;
  double *__restrict slope = batch.tables[i].slope;
  double *__restrict factor = batch.tables[i].factor;
  AxisHill hills[batch_hills];
  double nearest[batch_hills];
  for (int h = 0; h < batch_hills; ++h) {
    hills[h] = hill_along<ENDING, SLOPES>(batch, i, h);
    nearest[h] = outside;
  }
  for (int k = 0; k < axis.extent; ++k) {
    const double index = static_cast<double>(axis.first + k);
    const double x = batch.tables[i].point[k];
#pragma GCC ivdep
    for (int h = 0; h < batch_hills; ++h) {
      const AxisPoint point = along_axis<ENDING, SLOPES>(axis, x, index, hills[h]);
      half_square[k * batch_hills + h] = point.half_square;
      if (SLOPES) slope[k * batch_hills + h] = point.slope;
      nearest[h] = smaller(point.half_square, nearest[h]);
    }
  }
  for (int h = 0; h < batch_hills; ++h) batch.tables[i].nearest[h] = nearest[h];
  const double unit = batch.shifted ? 1.0 : 0.0;
  for (int k = 0; k < axis.extent; ++k) {
#pragma GCC ivdep
    for (int h = 0; h < batch_hills; ++h)
      factor[k * batch_hills + h] = exp_minus(half_square[k * batch_hills + h] - unit * nearest[h]);
  }
}

// Half squares and slopes of a hill in a group of columns; returns the smallest half square.
template <Ending ENDING, bool SLOPES>
inline double fill_group(const TileAxis &axis, const double *points, double index,
                         const AxisHill &hill, double *__restrict half_square,
                         double *__restrict slope) {
  double smallest = outside;
  for (int k = 0; k < group_columns; ++k) {
    const AxisPoint point = along_axis<ENDING, SLOPES>(axis, points[k], index + k, hill);
    half_square[k] = point.half_square;
    if (SLOPES) slope[k] = point.slope;
  }
  for (int k = 0; k < group_columns; ++k) smallest = smaller(half_square[k], smallest);
  return smallest;
}

inline void fill_factors(const double *__restrict half_square, double shift,
                         double *__restrict factor) {
#pragma GCC ivdep
  for (int k = 0; k < group_columns; ++k) factor[k] = exp_minus(half_square[k] - shift);
}

// Which hills come within the cut-off of a group of columns, or of a row of one, is found with a
// little more than that: each point decides exactly.
constexpr double searched_cutoff = 1.0001 * stretch_cutoff;

// How near each hill comes to each group of columns, from the ends of the group.
void find_nearest(const TileBatch &batch) {
  const int i = batch.ndim - 1;
  const TileAxis axis = batch.axes[i];
  for (int g = 0; g < batch.columns / group_columns; ++g) {
    const double *points = batch.tables[i].point + g * group_columns;
    const double middle = 0.5 * (points[0] + points[group_columns - 1]);
    const double half = 0.5 * (points[group_columns - 1] - points[0]);
    double *group_nearest = batch.group_nearest + g * batch_hills;
    for (int h = 0; h < batch_hills; ++h) {
      const double difference = batch.center[i][h] - middle;
      const double image = difference - axis.period * nearest(difference * axis.inverse_period);
      const double gap = (__builtin_fabs(image) - half) / batch.sigma[i][h];
      group_nearest[h] = gap > 0 ? 0.5 * gap * gap : 0.0;
    }
  }
}

// The table of the last axis of hills that end at a distance: nobody reads it beyond.
template <bool SLOPES>
void fill_last_near(TileBatch &batch) {
  const int i = batch.ndim - 1;
  const TileAxis axis = batch.axes[i];
  const AxisTable &table = batch.tables[i];
  find_nearest(batch);
  for (int h = 0; h < batch_hills; ++h) {
    const AxisHill hill = hill_along<Ending::distance, SLOPES>(batch, i, h);
    for (int g = 0; g < batch.columns / group_columns; ++g) {
      if (batch.group_nearest[g * batch_hills + h] >= searched_cutoff) continue;
      const int at = (g * batch_hills + h) * group_columns;
      fill_group<Ending::distance, SLOPES>(axis, table.point + g * group_columns, 0, hill,
                                           table.half_square + at, table.slope + at);
      fill_factors(table.half_square + at, 0, table.factor + at);
    }
  }
}

// The table of the last axis, [group][hill][column].
template <Ending ENDING, bool SLOPES>
void fill_last(TileBatch &batch) {
  const int i = batch.ndim - 1;
  const TileAxis axis = batch.axes[i];
  const AxisTable &table = batch.tables[i];
  const int groups = batch.columns / group_columns;
  double nearest[batch_hills];
  for (int h = 0; h < batch_hills; ++h) {
    const AxisHill hill = hill_along<ENDING, SLOPES>(batch, i, h);
    nearest[h] = outside;
    for (int g = 0; g < groups; ++g) {
      const int at = (g * batch_hills + h) * group_columns;
      const double index = static_cast<double>(axis.first + g * group_columns);
      const double least =
          fill_group<ENDING, SLOPES>(axis, table.point + g * group_columns, index, hill,
                                     table.half_square + at, table.slope + at);
      batch.group_nearest[g * batch_hills + h] = least;
      nearest[h] = smaller(least, nearest[h]);
    }
  }
  const double unit = batch.shifted ? 1.0 : 0.0;
  for (int row = 0; row < groups * batch_hills; ++row)
    fill_factors(table.half_square + row * group_columns, unit * nearest[row % batch_hills],
                 table.factor + row * group_columns);
  for (int h = 0; h < batch_hills; ++h) batch.tables[i].nearest[h] = nearest[h];
}

template <Ending ENDING, bool SLOPES>
void fill_tables(TileBatch &batch) {
  for (int i = 0; i + 1 < batch.ndim; ++i) fill_leading<ENDING, SLOPES>(batch, i);
  if (ENDING == Ending::distance)
    fill_last_near<SLOPES>(batch);
  else
    fill_last<ENDING, SLOPES>(batch);
}

template <Ending ENDING>
void fill_tables(TileBatch &batch) {
  if (batch.gradient) return fill_tables<ENDING, true>(batch);
  fill_tables<ENDING, false>(batch);
}

void fill_tables(TileBatch &batch) {
  if (batch.boxed) return fill_tables<Ending::box>(batch);
  if (batch.stretched) return fill_tables<Ending::distance>(batch);
  fill_tables<Ending::none>(batch);
}

// What a row of a tile, the points with one index along each leading axis, has of each hill.
struct Row {
  double half_square[batch_hills];  // of the leading axes
  double factor[batch_hills];       // of the leading axes, times what for_rows was given
  const double *slope[CUFES_MAX_DIM];
  std::int64_t index;
};

// Visits the rows of a tile in order. The factor of a row begins with `factors`.
template <typename Visit>
void for_rows(const TileBatch &batch, int i, const Row &row, const Visit &visit) {
  if (i + 1 == batch.ndim) return visit(row);
  const AxisTable &table = batch.tables[i];
  Row next = row;
  for (int k = 0; k < batch.axes[i].extent; ++k) {
    const double *half_square = table.half_square + k * batch_hills;
    const double *factor = table.factor + k * batch_hills;
    for (int h = 0; h < batch_hills; ++h) {
      next.half_square[h] = row.half_square[h] + half_square[h];
      next.factor[h] = row.factor[h] * factor[h];
    }
    next.slope[i] = table.slope + k * batch_hills;
    next.index = row.index * batch.axes[i].extent + k;
    for_rows(batch, i + 1, next, visit);
  }
}

template <typename Visit>
void for_rows(const TileBatch &batch, const double *factors, const Visit &visit) {
  Row row;
  for (int h = 0; h < batch_hills; ++h) {
    row.half_square[h] = 0;
    row.factor[h] = factors[h];
  }
  row.index = 0;
  for_rows(batch, 0, row, visit);
}

// Which hills come within `limit`, one a bit.
inline std::uint64_t find_hits(const double *row, const double *group, double limit) {
  std::uint64_t hits = 0;
#if defined(__AVX512F__)
  for (int h = 0; h < batch_hills; h += 8) {
    const __m512d d = _mm512_add_pd(_mm512_loadu_pd(row + h), _mm512_loadu_pd(group + h));
    const std::uint64_t part = _mm512_cmp_pd_mask(d, _mm512_set1_pd(limit), _CMP_LT_OQ);
    hits |= part << h;
  }
#elif defined(__AVX__)
  for (int h = 0; h < batch_hills; h += 4) {
    const __m256d d = _mm256_add_pd(_mm256_loadu_pd(row + h), _mm256_loadu_pd(group + h));
    const int part = _mm256_movemask_pd(_mm256_cmp_pd(d, _mm256_set1_pd(limit), _CMP_LT_OQ));
    hits |= static_cast<std::uint64_t>(part) << h;
  }
#else
  for (int h = 0; h < batch_hills; ++h)
    hits |= static_cast<std::uint64_t>(row[h] + group[h] < limit) << h;
#endif
  return hits;
}

// How the truncated kernels differ: the height times scale * exp(-d) + offset, for d < limit.
struct Cut {
  double limit;
  double scale;
  double offset;
  double offsets[batch_hills];  // times the height
};

// Adds the hills of `hits` to two vectors of a row. The kernel is 0 at the limit, and would be
// negative beyond it: this needs no comparison.
inline void add_values(const TileBatch &batch, const Row &row, const Cut &cut, std::uint64_t hits,
                       std::int64_t table, double *sums) {
  const double *factor = batch.tables[batch.ndim - 1].factor + table;
  Vector value[2] = {load(sums), load(sums + width)};
  for (; hits; hits &= hits - 1) {
    const int h = __builtin_ctzll(hits);
    for (int v = 0; v < 2; ++v) {
      const Vector gaussian = load(factor + h * group_columns + v * width) * row.factor[h];
      value[v] += positive(gaussian + cut.offset) * batch.height[h];
    }
  }
  for (int v = 0; v < 2; ++v) store(sums + v * width, value[v]);
}

// Adds the hills of `hits` to two vectors of a row. HEAD: the values, LAST: the derivative along
// the last axis; LEAD: those along so many leading axes from `lead` on. The sums stay in registers.
template <bool HEAD, bool LAST, int LEAD>
inline void add_hits(const TileBatch &batch, const Row &row, const Cut &cut, std::uint64_t hits,
                     std::int64_t table, int lead, double *sums) {
  const AxisTable &axis = batch.tables[batch.ndim - 1];
  double *last = sums + batch.ndim * batch.plane;
  double *leading = sums + (1 + lead) * batch.plane;
  Vector value[2] = {}, offset[2] = {}, slope[2] = {}, slopes[LEAD + 1][2] = {};
  for (int v = 0; v < 2; ++v) {
    if (HEAD) value[v] = load(sums + v * width);
    if (LAST) slope[v] = load(last + v * width);
    for (int i = 0; i < LEAD; ++i) slopes[i][v] = load(leading + i * batch.plane + v * width);
  }
  for (; hits; hits &= hits - 1) {
    const int h = __builtin_ctzll(hits);
    const std::int64_t at = table + h * group_columns;
    for (int v = 0; v < 2; ++v) {
      const Vector d = load(axis.half_square + at + v * width) + row.half_square[h];
      const Vector gaussian = load(axis.factor + at + v * width) * row.factor[h];
      const auto inside = d < cut.limit;
      const Vector none = {};
      const Vector steep = inside ? gaussian : none;
      if (HEAD) {
        value[v] += steep;
        offset[v] = inside ? offset[v] + cut.offsets[h] : offset[v];
      }
      if (LAST) slope[v] += load(axis.slope + at + v * width) * steep;
      for (int i = 0; i < LEAD; ++i) slopes[i][v] += row.slope[lead + i][h] * steep;
    }
  }
  for (int v = 0; v < 2; ++v) {
    if (HEAD) store(sums + v * width, value[v] + offset[v]);
    if (LAST) store(last + v * width, slope[v]);
    for (int i = 0; i < LEAD; ++i) store(leading + i * batch.plane + v * width, slopes[i][v]);
  }
}

// The values and the gradient, as many planes at once as there are registers for.
inline void add_gradients(const TileBatch &batch, const Row &row, const Cut &cut,
                          std::uint64_t hits, std::int64_t table, double *sums) {
  const int leading = batch.ndim - 1;
  if (leading == 0) return add_hits<true, true, 0>(batch, row, cut, hits, table, 0, sums);
  if (leading == 1) return add_hits<true, true, 1>(batch, row, cut, hits, table, 0, sums);
  add_hits<true, true, 2>(batch, row, cut, hits, table, 0, sums);
  for (int i = 2; i < leading; ++i)
    add_hits<false, false, 1>(batch, row, cut, hits, table, i, sums);
}

void truncated(TileBatch &batch) {
  fill_tables(batch);
  double scales[batch_hills];
  Cut cut;
  cut.limit = batch.stretched ? stretch_cutoff : 0.5 * outside;
  const double searched = batch.stretched ? searched_cutoff : cut.limit;
  cut.scale = batch.stretched ? stretch_a : 1.0;
  cut.offset = batch.stretched ? stretch_b : 0.0;
  for (int h = 0; h < batch_hills; ++h) {
    scales[h] = batch.gradient ? batch.height[h] * cut.scale : cut.scale;
    cut.offsets[h] = batch.height[h] * cut.offset;
  }
  const std::uint64_t present = ~std::uint64_t(0) >> (64 - batch.count);
  for_rows(batch, scales, [&](const Row &row) {
    for (int column = 0; column < batch.columns; column += group_columns) {
      const int group = column / group_columns;
      const double *nearest = batch.group_nearest + group * batch_hills;
      const std::uint64_t hits = present & find_hits(row.half_square, nearest, searched);
      if (!hits) continue;
      double *sums = batch.sums + row.index * batch.columns + column;
      const std::int64_t table = std::int64_t(group) * batch_hills * group_columns;
      for (int part = 0; part < group_columns; part += 2 * width) {
        if (batch.gradient)
          add_gradients(batch, row, cut, hits, table + part, sums + part);
        else
          add_values(batch, row, cut, hits, table + part, sums + part);
      }
    }
  });
}

// Rows that are multiplied at once: so that the sums fill the registers.
constexpr int register_rows = width == 8 ? 8 : 4;

// sums[row][column] += sum over the hills of weights[row][hill] factors[hill][column].
inline void multiply(const double *weights, const double *factors, int hills, double *sums,
                     std::int64_t columns) {
  Vector sum[register_rows][2];
  for (int r = 0; r < register_rows; ++r)
    for (int v = 0; v < 2; ++v) sum[r][v] = load(sums + r * columns + v * width);
  for (int h = 0; h < hills; ++h) {
    const Vector left = load(factors + h * group_columns);
    const Vector right = load(factors + h * group_columns + width);
#pragma GCC unroll 8
    for (int r = 0; r < register_rows; ++r) {
      const double weight = weights[r * batch_hills + h];
      sum[r][0] += weight * left;
      sum[r][1] += weight * right;
    }
  }
  for (int r = 0; r < register_rows; ++r)
    for (int v = 0; v < 2; ++v) store(sums + r * columns + v * width, sum[r][v]);
}

// Multiplies the weights of all rows with a table of the last axis.
void multiply_rows(const TileBatch &batch, const double *table, double *sums) {
  for (int column = 0; column < batch.columns; column += 2 * width) {
    const int group = column / group_columns, part = column % group_columns;
    const double *factors = table + std::int64_t(group) * batch_hills * group_columns + part;
    for (int row = 0; row < batch.rows; row += register_rows)
      multiply(batch.weights + std::int64_t(row) * batch_hills, factors, batch.count,
               sums + std::int64_t(row) * batch.columns + column, batch.columns);
  }
}

// The weights of all rows; with `axis` >= 0 those of the derivative along a leading axis.
void fill_weights(const TileBatch &batch, const double *heights, int axis) {
  for_rows(batch, heights, [&](const Row &row) {
    double *weights = batch.weights + row.index * batch_hills;
    for (int h = 0; h < batch_hills; ++h)
      weights[h] = axis < 0 ? row.factor[h] : row.factor[h] * row.slope[axis][h];
  });
}

void separable(TileBatch &batch) {
  fill_tables(batch);
  double heights[batch_hills];
  for (int h = 0; h < batch_hills; ++h) {
    heights[h] = batch.height[h];
    if (!batch.shifted) continue;
    // The heights are logarithms, in units of the largest that the tile may have.
    double exponent = -batch.height[h];
    for (int i = 0; i < batch.ndim; ++i) exponent += batch.tables[i].nearest[h];
    heights[h] = exp_minus(exponent);
  }
  const AxisTable &last = batch.tables[batch.ndim - 1];
  fill_weights(batch, heights, -1);
  multiply_rows(batch, last.factor, batch.sums);
  if (!batch.gradient) return;
  const int size = batch.columns * batch_hills;
  for (int k = 0; k < size; ++k) last.half_square[k] = last.slope[k] * last.factor[k];
  multiply_rows(batch, last.half_square, batch.sums + batch.ndim * batch.plane);
  for (int i = 0; i + 1 < batch.ndim; ++i) {
    fill_weights(batch, heights, i);
    multiply_rows(batch, last.factor, batch.sums + (1 + i) * batch.plane);
  }
}

// How far the nearest and the farthest points of a box are, along an axis, in sigmas.
template <bool PERIODIC>
inline void add_distances(const HillsTable &hills, std::int64_t first, const Box &box, int i,
                          double *near, double *far) {
  const double *center = hills.center[i] + first;
  const double *inverses = hills.inverse_sigma[i] + first * hills.sigma_stride;
  for (int h = 0; h < batch_hills; ++h) {
    double offset = center[h] - box.middle[i];
    if (PERIODIC) offset -= box.period[i] * nearest(offset * box.inverse_period[i]);
    offset = __builtin_fabs(offset);
    const double inverse = inverses[h * hills.sigma_stride];
    const double gap = offset - box.half[i] > 0 ? (offset - box.half[i]) * inverse : 0.0;
    double end = offset + box.half[i];
    if (PERIODIC) end = end < 0.5 * box.period[i] ? end : 0.5 * box.period[i];
    near[h] += 0.5 * gap * gap;
    far[h] += 0.5 * end * inverse * end * inverse;
  }
}

inline void distances(const HillsTable &hills, std::int64_t first, const Box &box, double *near,
                      double *far) {
  for (int h = 0; h < batch_hills; ++h) near[h] = far[h] = 0;
  for (int i = 0; i < hills.ndim; ++i) {
    if (box.period[i] > 0)
      add_distances<true>(hills, first, box, i, near, far);
    else
      add_distances<false>(hills, first, box, i, near, far);
  }
}

std::uint64_t within(const HillsTable &hills, std::int64_t first, const Box &box, double limit) {
  double near[batch_hills], far[batch_hills];
  const double none[batch_hills] = {};
  distances(hills, first, box, near, far);
  return find_hits(near, none, limit);
}

void bounds(const HillsTable &hills, std::int64_t first, const Box &box, Bounds &bounds) {
  double near[batch_hills], far[batch_hills];
  distances(hills, first, box, near, far);
  for (int h = 0; h < batch_hills; ++h) {
    bounds.upper[h] = hills.log_height[first + h] - near[h];
    bounds.lower[h] = hills.log_height[first + h] - far[h];
  }
}

}  // namespace

const CpuKernels CUFES_ISA = {
    {values<double>, gradient<double>, logarithms<double>},
    {values<float>, gradient<float>, logarithms<float>},
    truncated,
    separable,
    within,
    bounds,
};

}  // namespace cufes
