"""Container images: what goes into them, building them, and whether one fits a machine."""
