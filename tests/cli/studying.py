"""``hpcnn study run`` in this process, of a study whose program is quick, and what became of its runs."""

import json
from pathlib import Path

from click.testing import CliRunner

from hpcnn.cli.main import main
from hpcnn.rundir.layout import RunDir

# Writes down that it ran, and does as the file `order` says for its number of cores: ends well, fails, or waits.
PROGRAM = """
import os, pathlib, sys, time
cores = os.environ['HPCNN_CPUS_PER_TASK']
with open('ran', 'a') as file:
    print(cores, file=file)
for _ in range(1200):
    order = pathlib.Path('order' + cores)
    if not order.exists():
        break
    if (word := order.read_text()) != 'wait':
        sys.exit(word)
    time.sleep(0.05)
"""


def study_run(*words):
    return CliRunner().invoke(main, ["study", "run", *map(str, words)])


def listed(*words):
    """Return {run: state} as a dry run says."""
    result = study_run(*words, "--dry-run", "--format", "json")
    assert result.exit_code == 0, result.output
    return {row["run"]: row["state"] for row in json.loads(result.stdout)}


def statuses():
    """Return {run directory's name: status} of all that is in runs/quick."""
    return {run.name: (RunDir(run).read_result() or {}).get("status") for run in run_directories()}


def run_directories():
    return [path for path in Path("runs/quick").iterdir() if path.is_dir()]


def ran():
    """Return the cores of every run of the program, in order of their start."""
    return [int(line) for line in Path("ran").read_text().split()]
