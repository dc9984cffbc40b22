"""What the cases of ``input.py`` read, train and start."""
