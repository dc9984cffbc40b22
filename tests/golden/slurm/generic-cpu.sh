#!/usr/bin/env bash
# first: psc-cnn-dropout on mnist, horovod, 4 ranks, site generic-slurm
# Written by hpcnn 1.2.3. Everything this run writes is in the run directory.
#SBATCH --job-name=first
#SBATCH --output=/project/runs/first/20260102-030405-abcd/log.out
#SBATCH --open-mode=append
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=2
#SBATCH --cpus-per-task=8
#SBATCH --time=01:00:00
#SBATCH --no-requeue
set -uo pipefail

run_dir=/project/runs/first/20260102-030405-abcd
cd /home/me/project || exit
export PATH=/home/me/venv/bin:"$PATH"

# What the ranks check before they train, and the cores of each.
export HPCNN_RUN_DIR="$run_dir"
export HPCNN_STRATEGY=horovod
export HPCNN_WORLD_SIZE=4
export HPCNN_CPUS_PER_TASK=8
export OMP_NUM_THREADS=8
export TF_CPP_MIN_LOG_LEVEL="${TF_CPP_MIN_LOG_LEVEL:-2}" # no start-up notes from every rank
export HPCNN_DATA='/project/data sets'

srun \
    --ntasks=4 \
    --cpus-per-task=8 \
    --export=ALL \
    --kill-on-bad-exit=1 \
    /home/me/venv/bin/hpcnn train \
    --run-dir "$run_dir" \
    --model psc-cnn-dropout \
    --data mnist \
    --strategy horovod \
    --epochs 3
status=$?

# Closes the record where the ranks could not: a killed rank, or a program that keeps none.
/home/me/venv/bin/hpcnn record finish --run-dir "$run_dir" --exit-code "$status" --seconds "$SECONDS"
exit "$status"
