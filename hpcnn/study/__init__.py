"""Studies: many runs that differ along axes. A study file is expanded into jobs, and what is missing of them is run."""
