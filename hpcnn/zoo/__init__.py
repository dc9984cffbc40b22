"""What the lectures teach, as facts: their networks, data sets and settings. Imports no Keras and no NumPy."""
