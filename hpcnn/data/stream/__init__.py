"""Data that is read a slice at a time: files of several forms, and what a user's function returns instead of arrays."""
