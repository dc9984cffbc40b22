"""From run directories to tables: load, choose the runs that count, compare. Importing most of it imports pandas."""
