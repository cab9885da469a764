"""What all other folders may import: numbers, checks of arrays, units, progress, packages."""
