"""The errors that hpcnn raises, by their documented name."""

from hpcnn.util.errors import HpcnnError, RunError, UsageError

__all__ = ["HpcnnError", "RunError", "UsageError"]
