#!/usr/bin/env bash
# first: scinet-cnn1 on mnist, mirrored, 1 rank, site local
# Written by hpcnn 1.2.3. Everything this run writes is in the run directory.
set -uo pipefail

run_dir=/project/runs/first/20260102-030405-abcd
cd /home/me/project || exit
# A job may start again after its end: by hand, by a requeue, after a node has failed. A finished run stays as it is.
if grep -qs '"status": "completed"' "$run_dir/result.json"; then
    echo "hpcnn: this run is completed; nothing is done"
    exit 0
fi
export PATH=/home/me/venv/bin:"$PATH"

# One attempt at a time: another one that is at work in the run directory is named, and this one ends.
HPCNN_RUN_OWNER=$(/home/me/venv/bin/hpcnn record begin --run-dir "$run_dir" --pid "$$") || exit
[ "$HPCNN_RUN_OWNER" != completed ] || exit 0 # by an attempt that has just ended
export HPCNN_RUN_OWNER
rm -f "$run_dir/stop" # a request that an earlier attempt did not see

# What the ranks check before they train, and the cores of each.
export HPCNN_RUN_DIR="$run_dir"
export HPCNN_STRATEGY=mirrored
export HPCNN_WORLD_SIZE=1
export HPCNN_CPUS_PER_TASK=4
export OMP_NUM_THREADS=4
export TF_CPP_MIN_LOG_LEVEL="${TF_CPP_MIN_LOG_LEVEL:-2}" # no start-up notes from every rank
export OMPI_MCA_mpi_yield_when_idle=1
export HOROVOD_CYCLE_TIME=0.1
export HOROVOD_FUSION_THRESHOLD=131072
export GLIBC_TUNABLES=glibc.malloc.hugetlb=1:glibc.malloc.mmap_threshold=67108864:glibc.malloc.trim_threshold=536870912
export MALLOC_ARENA_MAX=1
export HPCNN_DATA='/project/data sets'

/home/me/venv/bin/hpcnn train \
    --run-dir "$run_dir" \
    --model scinet-cnn1 \
    --data mnist \
    --strategy mirrored \
    --devices 2
status=$?

# Closes the record where the ranks could not: a killed rank, or a program that keeps none.
/home/me/venv/bin/hpcnn record finish --run-dir "$run_dir" --exit-code "$status" --seconds "$SECONDS" --pid "$$"
exit "$status"
