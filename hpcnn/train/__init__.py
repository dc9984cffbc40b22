"""Training: one loop for all strategies. Knows of strategies only what ``parallel/base.py`` says."""
