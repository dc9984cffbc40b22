"""Reports in Python: ``load`` run directories, time their epochs, compare configurations.

The public interface for notebooks: its names are documented and stay. Importing it imports pandas.
"""

from hpcnn.analysis.accuracy import time_to_accuracy
from hpcnn.analysis.compare import Comparison, compare, compare_runs, differing
from hpcnn.analysis.cost import Charge, cost_table
from hpcnn.analysis.devices import cpu_vs_gpu
from hpcnn.analysis.jitter import jitter_table
from hpcnn.analysis.lectures import lectures_table
from hpcnn.analysis.measured import ceiling_times, epoch_times, left_out, outlying
from hpcnn.analysis.pop import pop_table
from hpcnn.analysis.proposal import proposal_table
from hpcnn.analysis.quality import quality_table
from hpcnn.analysis.reporting import rules_table
from hpcnn.analysis.roofline import roofline_table
from hpcnn.analysis.scaling import scaling_table, strong_scaling, weak_scaling
from hpcnn.analysis.usage import usage_table

# Imported from here, so that a later ``import hpcnn.report.load`` leaves ``hpcnn.report.load`` the function.
from hpcnn.report.load import RunData, load
from hpcnn.stats.medians import Interval, median_interval, runs_needed, tukey_outliers

__all__ = [
    "Charge",
    "Comparison",
    "Interval",
    "RunData",
    "ceiling_times",
    "compare",
    "compare_runs",
    "cost_table",
    "cpu_vs_gpu",
    "differing",
    "epoch_times",
    "jitter_table",
    "lectures_table",
    "left_out",
    "load",
    "median_interval",
    "outlying",
    "pop_table",
    "proposal_table",
    "quality_table",
    "roofline_table",
    "rules_table",
    "runs_needed",
    "scaling_table",
    "strong_scaling",
    "time_to_accuracy",
    "tukey_outliers",
    "usage_table",
    "weak_scaling",
]
