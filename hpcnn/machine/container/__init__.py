"""Container images: their content, how to build them, and whether one is compatible with a machine."""
