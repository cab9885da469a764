/* Sums two hills on a grid of five points: cc sum.c -lcufes -lm */
#include <stdio.h>

#include "cufes.h"

int main(void) {
  const double centers[] = {-1.0, 1.0}, heights[] = {2.0, 3.0};
  const double sigma[] = {0.5};       /* one width for both hills */
  const double not_periodic[] = {0.0};
  const double lower[] = {-2.0}, spacing[] = {1.0};
  const int64_t points[] = {5};
  const cufes_hills hills = {
      .ndim = 1, .kernel = CUFES_GAUSSIAN, .count = 2, .sigma_rows = 1, .centers = centers,
      .sigmas = sigma, .heights = heights, .periods = not_periodic};
  const cufes_grid grid = {.ndim = 1, .lower = lower, .spacing = spacing, .points = points};
  double values[5];

  /* CUFES_CPU, or the number of a CUDA device. No gradient, no settings of the run. */
  if (cufes_sum_grid(CUFES_CPU, &hills, &grid, values, NULL, NULL) != CUFES_OK) {
    fprintf(stderr, "%s\n", cufes_last_error());
    return 1;
  }
  for (int k = 0; k < 5; ++k) printf("%4.1f %8.5f\n", lower[0] + k * spacing[0], values[k]);
  return 0;
}
