// Sums two hills on a grid of five points: g++ sum.cpp -lcufes
#include <cstdio>
#include <stdexcept>
#include <vector>

#include "cufes.h"

std::vector<double> sum(const cufes_hills &hills, const cufes_grid &grid) {
  std::vector<double> values(grid.points[0]);
  if (cufes_sum_grid(CUFES_CPU, &hills, &grid, values.data(), nullptr, nullptr) != CUFES_OK)
    throw std::runtime_error(cufes_last_error());
  return values;
}

int main() {
  const std::vector<double> centers{-1.0, 1.0}, heights{2.0, 3.0}, sigma{0.5}, not_periodic{0.0};
  const std::vector<double> lower{-2.0}, spacing{1.0};
  const std::vector<int64_t> points{5};

  cufes_hills hills{};
  hills.ndim = 1;
  hills.kernel = CUFES_GAUSSIAN;
  hills.count = 2;
  hills.sigma_rows = 1;  // one width for both hills
  hills.centers = centers.data();
  hills.sigmas = sigma.data();
  hills.heights = heights.data();
  hills.periods = not_periodic.data();
  const cufes_grid grid{1, lower.data(), spacing.data(), points.data()};

  int k = 0;
  for (double value : sum(hills, grid)) std::printf("%4.1f %8.5f\n", -2.0 + k++, value);
}
