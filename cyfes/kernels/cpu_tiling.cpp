// How grids are cut into tiles.
#include "cpu_tiling.hpp"

namespace cufes {

// The leading axes are doubled in turn, the shortest first, as
// far as the grid goes; what is left over is shared out evenly.
Tiling lay_tiles(const cufes_grid &grid, std::int64_t rows, std::int64_t columns) {
  Tiling tiling;
  const int last = grid.ndim - 1;
  std::fill(tiling.extent, tiling.extent + grid.ndim, 1);
  for (; rows > 1; rows /= 2) {
    int shortest = -1;
    for (int i = last - 1; i >= 0; --i)
      if (tiling.extent[i] < grid.points[i] &&
          (shortest < 0 || tiling.extent[i] < tiling.extent[shortest]))
        shortest = i;
    if (shortest < 0) break;
    tiling.extent[shortest] *= 2;
  }
  tiling.extent[last] = columns;
  for (int i = 0; i <= last; ++i) {
    tiling.tiles[i] = divide_up(grid.points[i], tiling.extent[i]);
    tiling.extent[i] = divide_up(grid.points[i], tiling.tiles[i]);
    if (i == last) tiling.extent[i] = round_up(tiling.extent[i], group_columns);
    tiling.count *= tiling.tiles[i];
    if (i < last) tiling.rows *= tiling.extent[i];
  }
  tiling.rows = round_up(tiling.rows, block_rows);
  tiling.columns = tiling.extent[last];
  return tiling;
}

// Shrinks tiles, down to one block of rows and one group of columns, until there are enough.
Tiling lay_enough_tiles(const cufes_grid &grid, std::int64_t rows, std::int64_t columns) {
  Tiling tiling = lay_tiles(grid, rows, columns);
  while (tiling.count < enough_tiles && (rows > block_rows || columns > group_columns)) {
    if (columns > group_columns && (rows <= block_rows || columns > rows))
      columns /= 2;
    else
      rows /= 2;
    tiling = lay_tiles(grid, rows, columns);
  }
  return tiling;
}

std::string describe(const char *path, const cufes_grid &grid, const Tiling &tiling,
                     const std::string &more) {
  std::string text = path + std::string(", ") + std::to_string(tiling.count) + " tiles of ";
  for (int i = 0; i < grid.ndim; ++i) text += (i ? "x" : "") + std::to_string(tiling.extent[i]);
  return text + more + ", " + cpu_means();
}

}  // namespace cufes
