"""Statistics of a few numbers: medians and their intervals, rank tests, non-negative least squares."""
