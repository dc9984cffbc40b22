"""Figures of scaling tables, by their documented name."""

from hpcnn.figures.scaling import Plot, all_plots, save

__all__ = ["Plot", "all_plots", "save"]
