"""The networks of SciNet's 2017 lecture in NumPy. Must not import Keras."""
