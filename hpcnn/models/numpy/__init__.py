"""The networks of SciNet's 2017 lecture, written out in NumPy. Imports no framework."""
