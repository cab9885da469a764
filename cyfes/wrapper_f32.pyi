from cyfes.wrapper import sum_grid as sum_grid
from cyfes.wrapper import sum_points as sum_points
