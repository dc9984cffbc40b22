"""Why efficiency is below ideal, by its documented name."""

from hpcnn.analysis.diagnose import Finding, findings, verdict

__all__ = ["Finding", "findings", "verdict"]
