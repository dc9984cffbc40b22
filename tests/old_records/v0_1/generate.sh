#!/usr/bin/env bash
# Writes the data of v0.1 with the hpcnn of commit ade2478, in /tmp/hpcnn-old. Parts: one word each, or all.
set -uo pipefail
cd /tmp/hpcnn-old || exit
export PATH=/opt/hpcnn/.venv/bin:$PATH
export HPCNN_CACHE=/tmp/hpcnn-old/cache HPCNN_CONFIG=/tmp/hpcnn-old/config
unset HPCNN_RUNS HPCNN_DATA
mkdir -p log

# Ask a training to stop once its rank 0 has recorded some epochs. Arguments: run directory, epochs.
stop_after() {
    for _ in $(seq 1200); do
        if [ "$(wc -l 2>/dev/null <"$1/epochs.rank00000.jsonl" || echo 0)" -ge "$2" ]; then
            echo "asked by hand" >"$1/stop"
            return
        fi
        sleep 0.05
    done
}

do_completed() {
    hpcnn submit --run-dir runs/completed --model tiny:plain --samples 512 --test-samples 100 --epochs 2 \
        --batch-size 64 --learning-rate 0.1 --checkpoint-best --evaluate-training --target-accuracy 0.999
}
do_trained() {  # hpcnn train by itself, a network of the zoo: a spec.json of few keys, no job.sh and no log.out
    hpcnn train --run-dir runs/trained --model scinet-dense-tanh --model-arg numnodes=4 --data digits --samples 256 \
        --test-samples 100 --epochs 2
}
do_failed() {
    hpcnn submit --run-dir runs/failed --model tiny:build --model-arg width=0 --samples 128 --epochs 1
}
do_stopped() {
    stop_after runs/stopped-serial 2 &
    hpcnn submit --run-dir runs/stopped-serial --model tiny:build --model-arg width=2 --epochs 16 --batch-size 3 --learning-rate 0.01 \
        --momentum 0.9
}
do_stopped_ranks() {
    stop_after runs/stopped-horovod 1 &
    hpcnn submit --run-dir runs/stopped-horovod --ntasks 2 --cpus-per-task 1 --model tiny:build --epochs 10 \
        --batch-size 8 --learning-rate 0.01
}
do_stopped_train() {  # by SIGTERM, of a training that nobody submitted
    hpcnn train --run-dir runs/stopped-train --model tiny:build --samples 512 --test-samples 100 --epochs 16 \
        --batch-size 1 --learning-rate 0.01 &
    pid=$!
    until [ "$(wc -l 2>/dev/null <runs/stopped-train/epochs.rank00000.jsonl || echo 0)" -ge 1 ]; do sleep 0.05; done
    kill -TERM $pid
    wait $pid
}
do_numpy() {
    hpcnn submit --run-dir runs/numpy --model scinet-hidden --data circles --epochs 8 --batch-size 40
    hpcnn train --run-dir runs/numpy-stopped --model scinet-hidden --data circles --batch-size 1 --epochs 40 \
        --learning-rate 0.001 &
    pid=$!
    until [ "$(wc -l 2>/dev/null <runs/numpy-stopped/epochs.rank00000.jsonl || echo 0)" -ge 4 ]; do sleep 0.02; done
    kill -TERM $pid
    wait $pid
}
do_study() {
    hpcnn study run small.toml
    hpcnn scaling-report runs/small
    # so few rows leave no cache (report/cache.py, _WORTH_ROWS = 10,000): the same code, told that they are worth it
    sleep 3
    python -c 'import hpcnn.report.cache as c; c._WORTH_ROWS = 1; from hpcnn.cli.main import main; main()' \
        scaling-report runs/small --format csv
}
do_search() {
    hpcnn search run rates.toml
    hpcnn search table runs/rates --format csv
}
do_script() {
    hpcnn submit --run-dir runs/script --ntasks 2 --cpus-per-task 1 -- python script.py 3
    stop_after runs/script-stopped 3 &
    hpcnn submit --run-dir runs/script-stopped -- python script.py 60
}
do_notebook() {
    python make_notebook.py
}
do_bench() {
    hpcnn bench allreduce --ntasks 2 --cpus-per-task 1 --sizes 1K..1M --repeats 5 --model scinet-cnn1 \
        --run-dir runs/allreduce
    hpcnn bench machine --run-dir runs/machine
}
do_profile() {
    hpcnn submit --run-dir runs/profiled --ntasks 2 --cpus-per-task 1 --profile 1 --model tiny:build --samples 512 \
        --test-samples 100 --epochs 2 --batch-size 64
    hpcnn profile runs/profiled --top 5
}
do_slurm() {
    cd /opt/hpcnn && python -m tests.testbed.cluster up || return
    folder=/var/tmp/hpcnn-testbed/shared/hpcnn-old
    export SLURM_CONF=/var/tmp/hpcnn-testbed/etc/slurm.conf HPCNN_CONFIG=$folder/config
    mkdir -p $folder/config/sites
    python -c 'from tests.slurm.conftest import _SITE; print(_SITE, end="")' >$folder/config/sites/testbed.toml
    cp /tmp/hpcnn-old/{tiny.py,slurm.toml} $folder/
    cd $folder || return
    cat config/sites/testbed.toml
    hpcnn study submit slurm.toml --site testbed --wait
    hpcnn study status slurm.toml --site testbed --each
    hpcnn status runs/slurm
    hpcnn submit --site testbed --wait --run-dir runs/slurm-job --ntasks 2 --ntasks-per-node 1 --nodes 2 --cpus-per-task 1 \
        --model tiny:build --samples 256 --test-samples 100 --epochs 2 --time 5
    hpcnn status runs
    cp -a runs/slurm runs/slurm-job /tmp/hpcnn-old/runs/
    cp -a config /tmp/hpcnn-old/config-slurm
    cd /opt/hpcnn && python -m tests.testbed.cluster down
}
for part in ${*:-completed trained failed stopped stopped_ranks stopped_train numpy study search script notebook bench profile slurm}; do
    (do_"$part") >log/$part.log 2>&1
    echo "$part: status $?"
done
