"""Why efficiency is below ideal, in words: ``findings`` of a scaling table, each with its numbers and a command.

Where nothing is found, ``verdict`` says so. Importing it imports pandas.
"""

from hpcnn.analysis.diagnose.findings import Finding, findings, verdict

__all__ = ["Finding", "findings", "verdict"]
