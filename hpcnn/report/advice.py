"""Advice on what to measure next, by its documented name."""

from hpcnn.analysis.predict.advice import Suggestion, next_measurement

__all__ = ["Suggestion", "next_measurement"]
