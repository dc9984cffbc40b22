"""Hyper-parameter search: many trainings, whose parameters are chosen by the results of earlier ones."""
