#!/usr/bin/env bash
# slurm: 2 runs, each a task of this array, site testbed
# Written by hpcnn 0.1.0. Each task is one run: its own job.sh, in its own run directory, with its own log.out.
#SBATCH --job-name=slurm
#SBATCH --open-mode=append
#SBATCH --signal=B:USR2@75
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=1
#SBATCH --time=00:05:00
#SBATCH --no-requeue
#SBATCH --array=0-1
#SBATCH --output=/var/tmp/hpcnn-testbed/shared/hpcnn-old/runs/slurm/arrays/20261129-190036-36ac-1.out
set -u

folder=/var/tmp/hpcnn-testbed/shared/hpcnn-old/runs/slurm
runs=(
    ntasks=1,seed=1-r01-395f70 # task 0
    ntasks=1,seed=2-r01-5668f5 # task 1
)
run_dir="$folder/${runs[SLURM_ARRAY_TASK_ID]}"

# `exec`: Slurm's signals reach the run's own script.
exec bash "$run_dir/job.sh" >>"$run_dir/log.out" 2>&1
