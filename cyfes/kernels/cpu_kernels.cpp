// Compiled once for each instruction set, under the name CUFES_ISA. It must instantiate nothing
// from the standard library: the linker keeps one copy of a template, perhaps one that this CPU
// lacks.
#include "cpu_kernels.hpp"

#include <cstring>

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
void gradient(PointsBlock<Real> &block) {
  for (std::int64_t n = block.begin; n < block.end; ++n) {
    Real u[CUFES_MAX_DIM][lanes], d[lanes] = {}, steep[lanes], slope[lanes];
    whiten(block, n, u);
    add_squares(block, u, d);
    if (block.stretched && !any_within_reach(d)) continue;
    const Real height = block.heights[n];
    const Real scale = block.stretched ? Real(stretch_a) * height : height;
    const Real offset = block.stretched ? Real(stretch_b) * height : Real(0);
    for (int lane = 0; lane < lanes; ++lane) {
      const bool within = !block.stretched || d[lane] < Real(stretch_cutoff);
      steep[lane] = within ? scale * exp_minus(d[lane]) : Real(0);
      block.total[lane] += steep[lane] + (within ? offset : Real(0));
    }
    for (int i = 0; i < block.ndim; ++i) {
      slope_along(block, n, i, u, slope);
      for (int lane = 0; lane < lanes; ++lane) block.gradient[i][lane] += slope[lane] * steep[lane];
    }
  }
}

void axis(const AxisTask &task) {
  const double inverse = 1.0 / task.sigma;
  const double inverse_period = task.period > 0 ? 1.0 / task.period : 0.0;
  for (std::int64_t k = 0; k < task.count; ++k) {
    const double difference = task.offset + static_cast<double>(k) * task.spacing;
    const double image = difference - task.period * nearest(difference * inverse_period);
    const double scaled = image * inverse;
    task.half_square[k] = 0.5 * scaled * scaled;
    task.slope[k] = -scaled * inverse;
  }
  for (std::int64_t k = 0; k < task.count; ++k) task.factor[k] = exp_minus(task.half_square[k]);
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

// What the hill adds at point k, and the part of it that the slopes multiply.
struct Addend {
  double value;
  double steep;
};

template <bool STRETCHED>
inline Addend addend(const RowTask &task, std::int64_t k) {
  const double gaussian = task.scaled_height * task.row_factor[k];
  if (!STRETCHED) return {gaussian, gaussian};
  const bool within = task.half_square + task.row_half_square[k] < stretch_cutoff;
  const double steep = within ? stretch_a * gaussian : 0.0;
  return {steep + (within ? stretch_b * task.height : 0.0), steep};
}

template <bool STRETCHED>
inline void add_values(const RowTask &task) {
#pragma GCC ivdep
  for (std::int64_t k = 0; k < task.count; ++k) task.values[k] += addend<STRETCHED>(task, k).value;
}

template <bool STRETCHED>
inline void add_gradient(const RowTask &task) {
  for (int i = 0; i + 1 < task.ndim; ++i) {
    double *plane = task.gradient + i * task.plane;
    const double slope = task.slopes[i];
#pragma GCC ivdep
    for (std::int64_t k = 0; k < task.count; ++k)
      plane[k] += slope * addend<STRETCHED>(task, k).steep;
  }
  double *plane = task.gradient + (task.ndim - 1) * task.plane;
#pragma GCC ivdep
  for (std::int64_t k = 0; k < task.count; ++k)
    plane[k] += task.row_slope[k] * addend<STRETCHED>(task, k).steep;
}

template <bool STRETCHED>
inline void add_row(const RowTask &task) {
  add_values<STRETCHED>(task);
  if (task.gradient) add_gradient<STRETCHED>(task);
}

void row(const RowTask &task) {
  if (task.stretched)
    add_row<true>(task);
  else
    add_row<false>(task);
}

}  // namespace

const CpuKernels CUFES_ISA = {
    {values<double>, gradient<double>, logarithms<double>},
    {values<float>, gradient<float>, logarithms<float>},
    axis,
    row,
};

}  // namespace cufes
