"""The subcommands of ``hpcnn``, one file each: parse, call one function, print. Heavy imports are within functions."""
