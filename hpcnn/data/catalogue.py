"""The catalogue of data sets, under its documented import path."""

from hpcnn.zoo.catalogue import data_folder, describe, known, staged_file

__all__ = ["data_folder", "describe", "known", "staged_file"]
