"""Pictures of trained networks, one kind a module: each has a ``draw`` that returns a matplotlib figure.

Figures are made without pyplot, so none needs a display. Knows nothing of commands.
"""
