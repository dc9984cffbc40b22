"""Why efficiency is below ideal, in words: ``findings`` of a scaling table, each with its numbers and a command.

``verdict`` sums them up in one sentence. Importing it imports pandas.
"""

from hpcnn.analysis.diagnose.findings import Finding, findings, verdict

__all__ = ["Finding", "findings", "verdict"]
