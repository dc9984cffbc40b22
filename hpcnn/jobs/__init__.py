"""From a spec to a job: script, the command that starts its ranks, the request to Slurm, submitting. Trains nothing."""
