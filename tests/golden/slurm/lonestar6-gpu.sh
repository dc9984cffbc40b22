#!/usr/bin/env bash
# first: psc-cnn-dropout on mnist, horovod, 6 ranks, site lonestar6
# Written by hpcnn 1.2.3. Everything this run writes is in the run directory.
#SBATCH --job-name=first
#SBATCH --output=/project/runs/first/20260102-030405-abcd/log.out
#SBATCH --open-mode=append
#SBATCH --signal=B:USR2@120
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=3
#SBATCH --cpus-per-task=42
#SBATCH --time=01:00:00
#SBATCH --partition=gpu-a100
#SBATCH --no-requeue

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

# What the ranks check before they train, and the cores of each.
export HPCNN_RUN_DIR="$run_dir"
export HPCNN_STRATEGY=horovod
export HPCNN_WORLD_SIZE=6
export HPCNN_CPUS_PER_TASK=42
export HPCNN_GPUS_PER_NODE=3
export SLURM_EXPORT_ENV=ALL # the ranks get these variables, whatever the job was submitted with (--export=NONE)
export OMP_NUM_THREADS=42
export TF_CPP_MIN_LOG_LEVEL="${TF_CPP_MIN_LOG_LEVEL:-2}" # no start-up notes from every rank
export HPCNN_DATA='/project/data sets'

data='/project/data sets/mnist.npz'
if [ ! -r "$data" ]; then
    echo "hpcnn: there is no data file $data on $(hostname)" >&2
    exit 66
fi

# Slurm's signal before the time limit becomes a file. The ranks see it, agree on the step after which they stop, and
# rank 0 writes their state; they end with status 75. A program that does not know the file is not disturbed.
rm -f "$run_dir/stop"
trap 'echo "the time limit is near" > "$run_dir/stop"' USR2
# SIGTERM reaches all processes of a job that is cancelled or preempted, or at its time limit; SIGKILL follows after a
# while. This shell stays until the launcher has ended, to close the record.
terminated=()
trap 'terminated=(--terminated)' TERM

# One copy of the data on each node's own disk, which all its ranks read: of few files by sbcast, of many by one task a
# node. What was copied stands in staging.json.
copies="/tmp/hpcnn-$SLURM_JOB_ID-$$"
/home/me/venv/bin/hpcnn record stage --run-dir "$run_dir" --copies "$copies"
export HPCNN_STAGING="$run_dir/staging.json"

# The launcher's exit status goes through a file: bash forgets it where the launcher ends while the trap runs.
rm -f "$run_dir/launcher-status"
{
trap : USR2 TERM # a signal to all of the job's processes must not end this shell
ibrun \
    /home/me/venv/bin/hpcnn train \
    --run-dir "$run_dir" \
    --model psc-cnn-dropout \
    --data mnist \
    --strategy horovod \
    --epochs 3
echo "$?" > "$run_dir/launcher-status"
} &
launcher=$!
wait "$launcher"
status=$?
while kill -0 "$launcher" 2> /dev/null; do # the trap has ended the wait, not the launcher
    wait "$launcher"
    status=$?
done
if [ -s "$run_dir/launcher-status" ]; then
    read -r status < "$run_dir/launcher-status"
    rm -f "$run_dir/launcher-status"
fi
[ ! -e "$HPCNN_STAGING" ] || srun --ntasks="$SLURM_JOB_NUM_NODES" --ntasks-per-node=1 --mpi=none \
    sh -c 'rm -rf "$0"-*' "$copies"

# A program may end with 0 because the job is cancelled: the signal reaches this shell within the second, too.
[ "$status" -ne 0 ] || [ -e "$run_dir/result.json" ] || sleep 1

# SIGKILL after SIGTERM ends this shell as well, a moment sooner or later: what hears of the end from Slurm closes the
# record, with Slurm's cause.
if [ -n "${terminated[*]-}" ] && [ "$status" -eq 137 ]; then exit "$status"; fi

# Closes the record where the ranks could not: a killed rank, or a program that keeps none.
/home/me/venv/bin/hpcnn record finish --run-dir "$run_dir" --exit-code "$status" --seconds "$SECONDS" --pid "$$" \
    ${terminated[@]+"${terminated[@]}"}
exit "$status"
