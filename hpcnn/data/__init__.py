"""Data sets: the known ones, reading, staging and expanding them. Must not import models or trainings."""
