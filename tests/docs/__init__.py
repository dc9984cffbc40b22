"""The documents are true: what they show to run runs, and what they say of the code is so."""
