"""Looks at a machine: what it has, how fast it is, which settings suit it, which images fit it."""
