"""Hyper-parameter search: many trainings, each with parameters chosen in the light of those before it."""
