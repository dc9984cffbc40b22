"""Campaigns of faults: kills, full disks, damaged files, hostile values. What must hold is in docs/reliability.md.

``python -m tests.faults`` (``make faults``) runs the long form, the tests here a short one of the same functions.
"""
