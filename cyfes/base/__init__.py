"""What all other parts stand on: number literals, checks of arguments, units, progress."""
