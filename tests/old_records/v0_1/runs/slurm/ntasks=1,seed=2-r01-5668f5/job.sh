#!/usr/bin/env bash
# slurm: tiny:build on digits, horovod, 1 rank, site testbed
# Written by hpcnn 0.1.0. Everything this run writes is in the run directory.
#SBATCH --job-name=slurm
#SBATCH --output=/var/tmp/hpcnn-testbed/shared/hpcnn-old/runs/slurm/ntasks=1,seed=2-r01-5668f5/log.out
#SBATCH --open-mode=append
#SBATCH --signal=B:USR2@75
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=1
#SBATCH --time=00:05:00
#SBATCH --no-requeue

run_dir=/var/tmp/hpcnn-testbed/shared/hpcnn-old/runs/slurm/ntasks=1,seed=2-r01-5668f5
cd /var/tmp/hpcnn-testbed/shared/hpcnn-old || exit
export PATH=/opt/hpcnn/.venv/bin:"$PATH"

# What the ranks check before they train, and the cores of each.
export HPCNN_RUN_DIR="$run_dir"
export HPCNN_STRATEGY=horovod
export HPCNN_WORLD_SIZE=1
export HPCNN_CPUS_PER_TASK=1
export OMP_NUM_THREADS=1
export TF_CPP_MIN_LOG_LEVEL="${TF_CPP_MIN_LOG_LEVEL:-2}" # no start-up notes from every rank

# Slurm's signal before the time limit becomes a file. The ranks see it, agree on the step after which they stop, and
# rank 0 writes their state; they end with status 75. A program that does not know the file is not disturbed.
rm -f "$run_dir/stop"
trap 'echo "the time limit is near" > "$run_dir/stop"' USR2

srun \
    --ntasks=1 \
    --cpus-per-task=1 \
    --mpi=pmix \
    --export=ALL \
    --kill-on-bad-exit=1 \
    /opt/hpcnn/.venv/bin/hpcnn train \
    --run-dir "$run_dir" \
    --model tiny:build \
    --data digits \
    --strategy horovod \
    --samples 256 \
    --test-samples 100 \
    --epochs 2 \
    --batch-size 64 \
    --learning-rate 0.1 \
    --seed 2 &
launcher=$!
wait "$launcher"
status=$?
while [ "$status" -eq 140 ]; do # 128 + SIGUSR2: the trap has ended the wait, not the launcher
    wait "$launcher"
    status=$?
done

# Closes the record where the ranks could not: a killed rank, or a program that keeps none.
/opt/hpcnn/.venv/bin/hpcnn record finish --run-dir "$run_dir" --exit-code "$status" --seconds "$SECONDS"
exit "$status"
