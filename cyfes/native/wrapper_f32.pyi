from cyfes.native.wrapper import sum_grid as sum_grid
from cyfes.native.wrapper import sum_grid_at as sum_grid_at
from cyfes.native.wrapper import sum_points as sum_points
from cyfes.native.wrapper import sum_points_at as sum_points_at
