"""What is asked for: nouns with their help, ranges and defaults, and what follows from them. Runs nothing."""
