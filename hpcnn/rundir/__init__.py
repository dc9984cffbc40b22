"""The run directory, where the two wings meet: the names of its files, events, reading, closing, finding."""
