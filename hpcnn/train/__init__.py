"""Training: one loop for all strategies, through the protocol of ``parallel/base.py``. Imports no strategy itself."""
