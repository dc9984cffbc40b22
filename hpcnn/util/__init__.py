"""Helpers for every room: errors, files, locks, tables, text. Must not import any other room."""
