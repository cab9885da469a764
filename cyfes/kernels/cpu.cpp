// The CPU back end: OpenMP over blocks of points and over slabs of a grid.
//
// Every point and every grid point is owned by one thread, which adds the hills in their order: the
// result does not depend on the number of threads.
#include "cpu.hpp"

#include <omp.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "FES.cuh"

namespace cufes {
namespace {

// A run of grid indices, and where it starts among the indices that a hill reaches along the axis.
struct Span {
  std::int64_t index;
  std::int64_t local;
  std::int64_t count;
};

struct Axis {
  double lower;
  double spacing;
  std::int64_t points;
  double period;  // 0 for an axis that is not periodic
};

// Where a hill reaches along an axis: `count` successive points from `first` on, which may lie
// outside the grid if the axis is periodic.
struct Reach {
  std::int64_t first;
  std::int64_t count;
};

double radius(int kernel, double sigma) {
  return sigma * (kernel == CUFES_GAUSSIAN ? std::sqrt(2 * vanishing) : reach);
}

Reach find_reach(const Axis &axis, int kernel, double center, double sigma) {
  const double at = (center - axis.lower) / axis.spacing;
  double low, high;
  if (kernel == CUFES_BOXED_GAUSSIAN) {
    const double bins = std::ceil(reach * sigma / axis.spacing);
    low = std::floor(at) - bins;
    high = std::floor(at) + bins;
  } else {
    const double width = radius(kernel, sigma) / axis.spacing;
    low = std::ceil(at - width);
    high = std::floor(at + width);
  }
  const double points = static_cast<double>(axis.points);
  if (axis.period == 0) {
    low = std::max(low, 0.0);
    high = std::min(high, points - 1);
  } else if (high - low + 1 > points) {
    // Each point once, at its minimum image.
    low = std::ceil(at - points / 2);
    high = low + points - 1;
  }
  if (!(low <= high)) return {0, 0};
  return {static_cast<std::int64_t>(low), static_cast<std::int64_t>(high - low) + 1};
}

// Adds hills to the grid points whose first index lies in [begin, end).
class Slab {
 public:
  Slab(const std::vector<Axis> &axes, int kernel, double *values, double *gradient,
       std::int64_t size, std::int64_t begin, std::int64_t end)
      : axes_(axes),
        kernel_(kernel),
        values_(values),
        gradient_(gradient),
        size_(size),
        begin_(begin),
        end_(end),
        tables_(axes.size()) {
    for (std::size_t i = 0; i < axes.size(); ++i) tables_[i].resize(axes[i].points);
    for (std::size_t i = 0; i + 1 < axes.size(); ++i) stride_ = stride_ * axes[i + 1].points;
  }

  void clear() {
    const int planes = gradient_ ? ndim() : 0;
    std::fill(values_ + begin_ * stride_, values_ + end_ * stride_, 0.0);
    for (int i = 0; i < planes; ++i)
      std::fill(gradient_ + i * size_ + begin_ * stride_, gradient_ + i * size_ + end_ * stride_,
                0.0);
  }

  template <typename Real>
  void add(const Real *center, const Real *sigma, double height) {
    for (int i = 0; i < ndim(); ++i)
      if (!place(i, center[i], sigma[i])) return;
    for (int i = 0; i < ndim(); ++i) tables_[i].fill(axes_[i].spacing);
    height_ = height;
    walk(0, 0, 0.0, height);
  }

 private:
  // A hill along one axis.
  struct Table {
    AxisTask task;
    std::vector<double> half_square, factor, slope;
    Span spans[2];
    int span_count;

    void resize(std::int64_t points) {
      half_square.resize(points);
      factor.resize(points);
      slope.resize(points);
    }
    void fill(double spacing) {
      task.spacing = spacing;
      task.half_square = half_square.data();
      task.factor = factor.data();
      task.slope = slope.data();
      cpu_kernels().axis(task);
    }
  };

  int ndim() const { return static_cast<int>(axes_.size()); }

  // Finds the runs of indices that the hill reaches along axis i; false if there is none.
  bool place(int i, double center, double sigma) {
    const Axis &axis = axes_[i];
    Table &table = tables_[i];
    const Reach reached = find_reach(axis, kernel_, center, sigma);
    table.task.count = reached.count;
    table.task.sigma = sigma;
    table.task.period = axis.period;
    table.task.offset = axis.lower + static_cast<double>(reached.first) * axis.spacing - center;
    table.span_count = 0;
    const std::int64_t n = axis.points;
    const std::int64_t start = ((reached.first % n) + n) % n;
    const std::int64_t head = std::min(reached.count, n - start);
    push(table, i, {start, 0, head});
    push(table, i, {0, head, reached.count - head});
    return table.span_count > 0;
  }

  void push(Table &table, int i, Span span) const {
    if (i == 0) {
      const std::int64_t first = std::max(span.index, begin_);
      const std::int64_t last = std::min(span.index + span.count, end_);
      span = {first, span.local + first - span.index, last - first};
    }
    if (span.count > 0) table.spans[table.span_count++] = span;
  }

  // Visits the rows of the grid that the hill reaches, the leading axes one after the other.
  void walk(int i, std::int64_t offset, double half_square, double scaled_height) {
    const Table &table = tables_[i];
    for (int s = 0; s < table.span_count; ++s) {
      const Span &span = table.spans[s];
      if (i + 1 == ndim()) {
        add_row(span, offset * axes_[i].points + span.index, half_square, scaled_height);
        continue;
      }
      for (std::int64_t k = 0; k < span.count; ++k) {
        const std::int64_t at = span.local + k;
        const double d = half_square + table.half_square[at];
        if (kernel_ == CUFES_STRETCHED_GAUSSIAN && d >= stretch_cutoff) continue;
        slopes_[i] = table.slope[at];
        walk(i + 1, offset * axes_[i].points + span.index + k, d, scaled_height * table.factor[at]);
      }
    }
  }

  void add_row(const Span &span, std::int64_t offset, double half_square, double scaled_height) {
    const Table &table = tables_.back();
    RowTask task;
    task.ndim = ndim();
    task.stretched = kernel_ == CUFES_STRETCHED_GAUSSIAN;
    task.count = span.count;
    task.half_square = half_square;
    task.scaled_height = scaled_height;
    task.height = height_;
    task.row_half_square = table.half_square.data() + span.local;
    task.row_factor = table.factor.data() + span.local;
    task.row_slope = table.slope.data() + span.local;
    task.slopes = slopes_;
    task.values = values_ + offset;
    task.gradient = gradient_ ? gradient_ + offset : nullptr;
    task.plane = size_;
    cpu_kernels().row(task);
  }

  const std::vector<Axis> &axes_;
  int kernel_;
  double *values_;
  double *gradient_;
  std::int64_t size_;
  std::int64_t begin_, end_;
  std::int64_t stride_ = 1;
  std::vector<Table> tables_;
  double slopes_[CUFES_MAX_DIM];
  double height_ = 0;
};

std::vector<Axis> make_axes(const cufes_grid &grid, const double *periods) {
  std::vector<Axis> axes;
  for (int i = 0; i < grid.ndim; ++i)
    axes.push_back({grid.lower[i], grid.spacing[i], grid.points[i], periods[i]});
  return axes;
}

// More slabs than threads even out hills that crowd in one place.
constexpr int slabs_per_thread = 4;

template <typename Real>
void sum_grid_in_double(const Hills<Real> &hills, const cufes_grid &grid, std::int64_t size,
                        double *values, double *gradient, Run &run) {
  const std::vector<Axis> axes = make_axes(grid, hills.periods);
  const std::int64_t rows = axes[0].points;
  const std::int64_t count = std::min<std::int64_t>(rows, slabs_per_thread * omp_get_max_threads());
  // Made before the threads start: an exception must not leave an OpenMP region.
  std::vector<Slab> slabs;
  slabs.reserve(count);
  for (std::int64_t s = 0; s < count; ++s)
    slabs.emplace_back(axes, hills.kernel, values, gradient, size, rows * s / count,
                       rows * (s + 1) / count);
  Watch watch(run, static_cast<double>(hills.count) * static_cast<double>(count));
#pragma omp parallel for schedule(dynamic, 1)
  for (std::int64_t s = 0; s < count; ++s) {
    slabs[s].clear();
    for (std::int64_t n = 0; n < hills.count && !watch.stopped(); ++n) {
      slabs[s].add(hills.centers + n * hills.ndim, hills.sigmas + n * sigma_stride(hills),
                   hills.heights[n]);
      watch.add(1, omp_get_thread_num() == 0);
    }
  }
  watch.finish();
}

template <typename Real>
void sum_grid_rows(const Hills<Real> &hills, const Surface<Real> &surface, Run &run) {
  const bool separable = hills.kernel == CUFES_GAUSSIAN;
  run.plan(separable ? CUFES_PATH_SEPARABLE : CUFES_PATH_TRUNCATED,
           (separable ? "separable, rows of the grid, " : "truncated, rows of the grid, ") +
               cpu_means());
  const std::int64_t planes = surface.gradient ? surface.size * hills.ndim : 0;
  std::vector<double> values(surface.size), gradient(planes);
  sum_grid_in_double<Real>(hills, *surface.grid, surface.size, values.data(),
                           planes ? gradient.data() : nullptr, run);
  const auto round = [](double x) { return static_cast<Real>(x); };
  std::transform(values.begin(), values.end(), surface.values, round);
  if (planes) std::transform(gradient.begin(), gradient.end(), surface.gradient, round);
}

}  // namespace

const CpuKernels &cpu_kernels() {
  static const CpuKernels &best = [&]() -> const CpuKernels & {
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq"))
      return cpu_kernels_avx512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return cpu_kernels_avx2;
    return cpu_kernels_baseline;
  }();
  return best;
}

const char *cpu_instruction_set() {
  if (&cpu_kernels() == &cpu_kernels_avx512) return "avx512";
  return &cpu_kernels() == &cpu_kernels_avx2 ? "avx2" : "sse2";
}

std::string cpu_means() {
  return std::to_string(omp_get_max_threads()) + " threads, " + cpu_instruction_set();
}

template <typename Real>
void sum_points_cpu(const Hills<Real> &hills, const Points<Real> &points, Run &run) {
  sum_points_direct<Real>(hills, points, run);
}

template <typename Real>
void sum_grid_cpu(const Hills<Real> &hills, const Surface<Real> &surface, Run &run) {
  if (run.path() == CUFES_PATH_DIRECT || hills.multivariate || hills.kernel == CUFES_LOG_GAUSSIAN)
    sum_grid_direct<Real>(hills, surface, run);
  else
    sum_grid_rows<Real>(hills, surface, run);
}

template void sum_points_cpu<double>(const cufes_hills &, const Points<double> &, Run &);
template void sum_points_cpu<float>(const cufes_hills_f32 &, const Points<float> &, Run &);
template void sum_grid_cpu<double>(const cufes_hills &, const Surface<double> &, Run &);
template void sum_grid_cpu<float>(const cufes_hills_f32 &, const Surface<float> &, Run &);

}  // namespace cufes
