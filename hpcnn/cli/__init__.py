"""One file a command: parse, call one function, print. Nothing heavy is imported at the top of any of them."""
