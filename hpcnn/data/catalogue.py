"""The catalogue of data sets, by its documented name."""

from hpcnn.zoo.catalogue import data_folder, describe, known, staged_file

__all__ = ["data_folder", "describe", "known", "staged_file"]
