"""Pictures of surfaces, paths and time series, ready to be printed in one column of a journal."""
