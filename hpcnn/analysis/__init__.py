"""From run directories to tables: load, choose what counts, compare. Importing most of it imports pandas."""
