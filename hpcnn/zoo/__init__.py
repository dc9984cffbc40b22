"""The lectures' networks, data sets and settings, as facts. Must not import Keras or NumPy."""
