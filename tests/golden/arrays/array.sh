#!/usr/bin/env bash
# mine: 2 runs, each a task of this array, site narval
# Written by hpcnn 1.2.3. Each task is one run: its own job.sh, in its own run directory, with its own log.out.
#SBATCH --job-name=mine
#SBATCH --open-mode=append
#SBATCH --signal=B:USR2@120
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=1
#SBATCH --time=01:00:00
#SBATCH --account=def-prof
#SBATCH --mem-per-cpu=3G
#SBATCH --no-requeue
#SBATCH --array=0-1%4
#SBATCH --output="/project/my runs/mine/arrays/20260102-030405-abcd-1.out"
set -u

folder='/project/my runs/mine'
runs=(
    cpus_per_task=1-r01-9b3708 # task 0
    cpus_per_task=1-r02-e2f413 # task 1
)
run_dir="$folder/${runs[SLURM_ARRAY_TASK_ID]}"

# `exec`: Slurm's signals reach the run's own script.
exec bash "$run_dir/job.sh" >>"$run_dir/log.out" 2>&1
