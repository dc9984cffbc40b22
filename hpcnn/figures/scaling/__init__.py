"""Figures of scaling tables and of the runs that the tables summarise, each with an alternative text and a caption.

``all_plots`` makes every figure that the data allow; ``save`` writes them as PNG, SVG and PDF. Importing it imports
pandas; drawing imports matplotlib.
"""

from hpcnn.figures.scaling.every import all_plots
from hpcnn.figures.scaling.plot import Plot, save

__all__ = ["Plot", "all_plots", "save"]
