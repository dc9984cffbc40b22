"""The teaching end of ``hpcnn train``: trains the networks of SciNet's 2017 lecture in NumPy. Imports no framework."""
