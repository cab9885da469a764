"""The checks of a finished wheel."""
