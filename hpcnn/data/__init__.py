"""Data sets: the known ones, reading, staging and expanding them. Knows nothing of models or training."""
