"""Build networks: those of the lectures, and users' own.

``registry`` builds a network by its name; ``scinet``, ``psc``, ``wolter`` and ``exercises`` are the factories of Keras
models, which share ``layers``; ``numpy`` has the networks in NumPy. The facts about them are in ``hpcnn.zoo``. Must not
import data sets or trainings.
"""
