"""What larger configurations will take, from measured ones, and what to measure next."""
