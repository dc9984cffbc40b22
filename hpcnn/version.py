"""The version of hpcnn, where every part may read it. Imports nothing."""

__version__ = "0.2.0"
