"""Figures of scaling tables, of trained networks and of searches. Draws; computes no tables and trains no networks."""
