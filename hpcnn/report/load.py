"""Run directories as tables, by their documented name."""

from hpcnn.analysis.load import RunData, find_runs, load

__all__ = ["RunData", "find_runs", "load"]
