"""What hpcnn's commands cost on a login node, in seconds and memory, beside their peers.

``python benchmarks/login_node.py [--peers FOLDER] [--repeats N] [--json FILE]`` starts each command N times, all of
them in turn, so that a slow moment of the machine strikes all alike, and prints the median, the range and the peak
memory of each, and its time over that of ``torchx run --dryrun``. The peers, torchx and submitit, are looked for in
the environment FOLDER (``python -m venv FOLDER && FOLDER/bin/pip install torchx submitit``); without one they are
left out. Seconds hold on this machine; ratios hold on others too.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from common import Result, machine, markdown, parser, report

from hpcnn.rundir.layout import RunDir
from hpcnn.util.files import write_json

RESOURCES = ("--nodes", "2", "--ntasks", "4", "--cpus-per-task", "8")
SUBMITIT_START = "import submitit; submitit.SlurmExecutor(folder='logs')"
# What submitit offers instead of a dry run: an executor that writes the script of a job and returns it as a text.
SUBMITIT = """
import submitit
executor = submitit.SlurmExecutor(folder='logs')
executor.update_parameters(nodes=2, ntasks_per_node=2, cpus_per_task=8, time=60)
print(executor._make_submission_file_text('hpcnn train', 'key'))
"""
TORCHX = ("run", "--dryrun", "-s", "slurm", "utils.sh", "--num_replicas", "2", "--cpu", "8", "echo", "hello")


def commands(peers: Path | None) -> dict[str, Sequence[str]]:
    """Return name -> words of every command that is there."""
    hpcnn = str(Path(sys.executable).with_name("hpcnn"))
    found: dict[str, Sequence[str]] = {
        "python -c pass": (sys.executable, "-c", "pass"),
        "hpcnn --help": (hpcnn, "--help"),
        "hpcnn submit --dry-run": (hpcnn, "submit", "--site", "generic-slurm", *RESOURCES, "--dry-run"),
        "hpcnn submit --dry-run -- program": (
            *(hpcnn, "submit", "--site", "generic-slurm", *RESOURCES, "--dry-run"),
            *("--", "echo", "hello"),
        ),
        "hpcnn submit --help": (hpcnn, "submit", "--help"),
        "hpcnn study run --help": (hpcnn, "study", "run", "--help"),
        "hpcnn scaling-report --help": (hpcnn, "scaling-report", "--help"),
        "hpcnn submit --model psc<TAB>": completion(hpcnn, "hpcnn", "submit", "--model", "psc"),
        "hpcnn submit --site nar<TAB>": completion(hpcnn, "hpcnn", "submit", "--site", "nar"),
        "hpcnn models": (hpcnn, "models"),
        "hpcnn status": (hpcnn, "status", "runs"),
    }
    if peers is not None:
        found["torchx run --dryrun"] = (str(peers / "bin" / "torchx"), *TORCHX)
        found["submitit, an executor"] = (str(peers / "bin" / "python"), "-c", SUBMITIT_START)
        found["submitit, script of a job"] = (str(peers / "bin" / "python"), "-c", SUBMITIT)
    return found


def completion(hpcnn: str, *typed: str) -> Sequence[str]:
    """Return what bash calls when the user presses <TAB> after these words."""
    typed_so_far = ("_HPCNN_COMPLETE=bash_complete", f"COMP_WORDS={' '.join(typed)}", f"COMP_CWORD={len(typed) - 1}")
    return ("env", *typed_so_far, hpcnn)


def submitted(folder: Path, count: int = 20) -> None:
    """Write what ``hpcnn submit`` leaves of so many jobs that have ended."""
    for number in range(count):
        run = RunDir(folder / f"job-{number}")
        run.path.mkdir(parents=True)
        write_json(run.job, {"job_id": str(1000 + number), "site": "generic-slurm"}, durable=False)
        run.write_result("completed", exit_code=0)


def start(words: Sequence[str], folder: Path) -> tuple[float, float]:
    """Run a command; return its wall seconds and its peak memory in MiB. Raises RuntimeError where it fails."""
    begin = time.perf_counter()
    process = subprocess.Popen(words, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert process.stdout is not None
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - begin
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{words[0]} ended with {process.returncode}: {output.decode(errors='replace')}")
    return seconds, usage.ru_maxrss / 1024


def measure(found: Mapping[str, Sequence[str]], repeats: int) -> tuple[dict[str, Result], dict[str, Result]]:
    """Start every command once to warm the file cache, then ``repeats`` times, in turn; return seconds and MiB."""
    seconds = {name: Result(name, "start", "s") for name in found}
    memory = {name: Result(name, "peak memory", "MiB") for name in found}
    with tempfile.TemporaryDirectory() as folder:
        submitted(Path(folder) / "runs")
        for turn in range(repeats + 1):
            for name, words in found.items():
                taken, peak = start(words, Path(folder))
                if turn:
                    seconds[name].values.append(taken)
                    memory[name].values.append(peak)
    return seconds, memory


def table(seconds: Mapping[str, Result], memory: Mapping[str, Result]) -> str:
    """Return the results as a Markdown table."""
    peer = seconds.get("torchx run --dryrun")
    rows = []
    for name, one in seconds.items():
        ratio = f"{one.median / peer.median:.2f}" if peer else ""
        peak = f"{max(memory[name].values):.0f}"
        rows.append([f"`{name}`", f"{one.median:.3f}", one.spread(".3f"), peak, ratio])
    return markdown(["command", "seconds, median", "min..max", "peak MiB", "of torchx"], rows)


def main() -> None:
    """Measure, print, and write what was measured."""
    made = parser(__doc__, repeats=15)
    made.add_argument("--peers", type=Path, help="environment with torchx and submitit")
    options = made.parse_args()
    facts = machine()
    seconds, memory = measure(commands(options.peers), 1 if options.smoke else options.repeats)
    report("login_node", facts, table(seconds, memory), [*seconds.values(), *memory.values()], options.json)


if __name__ == "__main__":
    main()
