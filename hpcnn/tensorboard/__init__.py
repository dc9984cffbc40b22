"""Serve TensorBoard on the logs of runs: their folder, the server, and the tunnel to it."""
