#!/usr/bin/env bash
# tiny-build: tiny:build on digits, horovod, 2 ranks, site local
# Written by hpcnn 0.1.0. Everything this run writes is in the run directory.
set -uo pipefail

run_dir=/tmp/hpcnn-old/runs/stopped-horovod
cd /tmp/hpcnn-old || exit
export PATH=/opt/hpcnn/.venv/bin:"$PATH"

# What the ranks check before they train, and the cores of each.
export HPCNN_RUN_DIR="$run_dir"
export HPCNN_STRATEGY=horovod
export HPCNN_WORLD_SIZE=2
export HPCNN_CPUS_PER_TASK=1
export OMP_NUM_THREADS=1
export TF_CPP_MIN_LOG_LEVEL="${TF_CPP_MIN_LOG_LEVEL:-2}" # no start-up notes from every rank
export OMPI_MCA_mpi_yield_when_idle=1
export HOROVOD_CYCLE_TIME=0.1
export HOROVOD_FUSION_THRESHOLD=131072
export GLIBC_TUNABLES=glibc.malloc.hugetlb=1:glibc.malloc.mmap_threshold=67108864:glibc.malloc.trim_threshold=536870912
export MALLOC_ARENA_MAX=1
if [ "$(id -u)" -eq 0 ]; then # Open MPI asks twice before it starts ranks as root
    export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
fi

mpirun -np 2 \
    --map-by slot:PE=1 \
    --bind-to core \
    --mca plm isolated \
    /opt/hpcnn/.venv/bin/hpcnn train \
    --run-dir "$run_dir" \
    --model tiny:build \
    --data digits \
    --strategy horovod \
    --epochs 10 \
    --batch-size 8 \
    --learning-rate 0.01
status=$?

# Closes the record where the ranks could not: a killed rank, or a program that keeps none.
/opt/hpcnn/.venv/bin/hpcnn record finish --run-dir "$run_dir" --exit-code "$status" --seconds "$SECONDS"
exit "$status"
