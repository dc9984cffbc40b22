"""From a spec to a job: the script, the command that starts the ranks, the request to Slurm, submitting. No ranks here."""
