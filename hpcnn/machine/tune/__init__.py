"""Finds the settings that make one network train fastest on one machine, and keeps what really helps.

Settings are variables of a site's ``[environment]``. They change how fast numbers are computed, never which.
"""
