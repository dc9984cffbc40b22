"""Specs of trainings, jobs and studies: fields with help, ranges and defaults. Must not import rooms that run them."""
