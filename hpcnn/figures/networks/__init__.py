"""Figures of trained networks, one kind a module: the ``draw`` of each returns a matplotlib figure.

They need no display. Must not import the command line.
"""
