"""Traces of the steps that ``hpcnn train --profile`` recorded: read from profilers' files, and summed up in tables."""
