"""Measurements of the machine itself, without training: what an allreduce costs.

``ranks.py`` runs in every rank of a job; what it writes into the run directory, the command prints.
"""
