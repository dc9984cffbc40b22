"""TensorBoard on the logs of runs: which folder it shows, how to reach it from elsewhere, and the server itself."""
