"""Fits of scaling laws, by their documented name."""

from hpcnn.analysis.fits import Fit, FittedSeries, fit_series, fits

__all__ = ["Fit", "FittedSeries", "fit_series", "fits"]
