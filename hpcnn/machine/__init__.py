"""Examine a machine: its software, speed, fastest settings, and the container images that run on it."""
