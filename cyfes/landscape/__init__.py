"""The shape of a surface: interpolation, basins, the minimum-energy path, regions, fewer CVs."""
