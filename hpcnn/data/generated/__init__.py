"""Data sets that are computed sample by sample, without a file and of any length."""
