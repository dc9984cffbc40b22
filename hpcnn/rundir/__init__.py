"""The run directory, through which login nodes and ranks communicate: its files, and reading and closing them."""
