"""From run directories to tables: ``load`` them, time their epochs, compare configurations.

The public interface for notebooks. Importing it imports pandas.
"""

from hpcnn.report.load import RunData, load
from hpcnn.report.measured import epoch_times, left_out
from hpcnn.report.scaling import scaling_table, strong_scaling, weak_scaling

__all__ = [
    "RunData",
    "epoch_times",
    "left_out",
    "load",
    "scaling_table",
    "strong_scaling",
    "weak_scaling",
]
