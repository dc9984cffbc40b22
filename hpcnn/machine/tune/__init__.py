"""Tune a machine: find the settings with which a network trains fastest there, and keep those that help.

Settings are variables of a site's ``[environment]``. They change the speed of a training, never its numbers.
"""
