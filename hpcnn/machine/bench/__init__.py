"""Benchmarks of a machine, without training: the allreduce, arithmetic and memory.

``ranks.py`` and ``machine.py`` run in the ranks of a job and write their results into the run directory.
"""
