"""Predictions of larger configurations from measured ones, and advice on what to measure next."""
