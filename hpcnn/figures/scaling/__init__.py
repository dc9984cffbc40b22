"""Pictures of scaling tables and of the runs behind them, as matplotlib figures with words for who cannot see them.

``all_plots`` makes every picture that the data carry; ``save`` writes them as PNG, SVG and PDF. Importing it imports
pandas; making a picture imports matplotlib.
"""

from hpcnn.figures.scaling.every import all_plots
from hpcnn.figures.scaling.plot import Plot, save

__all__ = ["Plot", "all_plots", "save"]
