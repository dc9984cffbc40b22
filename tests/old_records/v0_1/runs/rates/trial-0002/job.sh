#!/usr/bin/env bash
# rates: tiny:build on digits, serial, 1 rank, site local
# Written by hpcnn 0.1.0. Everything this run writes is in the run directory.
set -uo pipefail

run_dir=/tmp/hpcnn-old/runs/rates/trial-0002
cd /tmp/hpcnn-old || exit
export PATH=/opt/hpcnn/.venv/bin:"$PATH"

# What the ranks check before they train, and the cores of each.
export HPCNN_RUN_DIR="$run_dir"
export HPCNN_STRATEGY=serial
export HPCNN_WORLD_SIZE=1
export HPCNN_CPUS_PER_TASK=2
export OMP_NUM_THREADS=2
export TF_CPP_MIN_LOG_LEVEL="${TF_CPP_MIN_LOG_LEVEL:-2}" # no start-up notes from every rank
export OMPI_MCA_mpi_yield_when_idle=1
export HOROVOD_CYCLE_TIME=0.1
export HOROVOD_FUSION_THRESHOLD=131072
export GLIBC_TUNABLES=glibc.malloc.hugetlb=1:glibc.malloc.mmap_threshold=67108864:glibc.malloc.trim_threshold=536870912
export MALLOC_ARENA_MAX=1

/opt/hpcnn/.venv/bin/hpcnn train \
    --run-dir "$run_dir" \
    --resume \
    --model tiny:build \
    --data digits \
    --strategy serial \
    --model-arg width=4 \
    --samples 1437 \
    --epochs 4 \
    --batch-size 1 \
    --learning-rate 0.000527078465837434
status=$?

# Closes the record where the ranks could not: a killed rank, or a program that keeps none.
/opt/hpcnn/.venv/bin/hpcnn record finish --run-dir "$run_dir" --exit-code "$status" --seconds "$SECONDS"
exit "$status"
