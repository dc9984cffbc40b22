"""Scaling studies: expand a study file into jobs, and run or submit those that are missing."""
