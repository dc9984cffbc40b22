"""What hpcnn's commands cost on a login node, in seconds and memory, beside their peers.

``python benchmarks/login_node.py [--peers FOLDER] [--repeats N] [--json FILE]`` starts each command N times, all of
them in turn, so that a slow moment of the machine strikes all alike, and prints the median, the range and the peak
memory of each, and its time over that of ``torchx run --dryrun``. The peers, torchx and submitit, are looked for in
the environment FOLDER (``python -m venv FOLDER && FOLDER/bin/pip install torchx submitit``); without one they are
left out. Seconds hold on this machine; ratios hold on others too.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

RESOURCES = ("--nodes", "2", "--ntasks", "4", "--cpus-per-task", "8")
# What submitit offers instead of a dry run: an executor that writes the script of a job and returns it as a text.
SUBMITIT = """
import submitit
executor = submitit.SlurmExecutor(folder='logs')
executor.update_parameters(nodes=2, ntasks_per_node=2, cpus_per_task=8, time=60)
print(executor._make_submission_file_text('hpcnn train', 'key'))
"""
TORCHX = ("run", "--dryrun", "-s", "slurm", "utils.sh", "--num_replicas", "2", "--cpu", "8", "echo", "hello")


@dataclass
class Measured:
    """Wall seconds of each start of a command, and the largest resident set of them, in MiB."""

    seconds: list[float] = field(default_factory=list)
    memory: float = 0.0


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
        "hpcnn models": (hpcnn, "models"),
    }
    if shutil.which("squeue"):
        found["hpcnn status"] = (hpcnn, "status")
    if peers is not None:
        found["torchx run --dryrun"] = (str(peers / "bin" / "torchx"), *TORCHX)
        found["submitit, script of a job"] = (str(peers / "bin" / "python"), "-c", SUBMITIT)
    return found


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


def measure(found: Mapping[str, Sequence[str]], repeats: int) -> dict[str, Measured]:
    """Start every command once to warm the file cache, then ``repeats`` times, in turn."""
    measured = {name: Measured() for name in found}
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(repeats + 1):
            for name, words in found.items():
                seconds, memory = start(words, Path(folder))
                if turn:
                    measured[name].seconds.append(seconds)
                    measured[name].memory = max(measured[name].memory, memory)
    return measured


def table(measured: Mapping[str, Measured]) -> str:
    """Return the results as a Markdown table."""
    peer = measured.get("torchx run --dryrun")
    lines = ["| command | seconds, median | min..max | peak MiB | of torchx |", "|---|---|---|---|---|"]
    for name, one in measured.items():
        median = statistics.median(one.seconds)
        ratio = f"{median / statistics.median(peer.seconds):.2f}" if peer else ""
        spread = f"{min(one.seconds):.3f}..{max(one.seconds):.3f}"
        lines.append(f"| `{name}` | {median:.3f} | {spread} | {one.memory:.0f} | {ratio} |")
    return "\n".join(lines)


def main() -> None:
    """Measure, print, and write what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", type=Path, help="environment with torchx and submitit")
    parser.add_argument("--repeats", type=int, default=15, help="starts of each command [%(default)s]")
    parser.add_argument("--json", type=Path, help="also write every number there")
    options = parser.parse_args()
    measured = measure(commands(options.peers), options.repeats)
    print(
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} processors, Python {platform.python_version()}"
    )
    print(table(measured))
    if options.json:
        facts = {name: {"seconds": one.seconds, "peak_mib": one.memory} for name, one in measured.items()}
        options.json.write_text(json.dumps({"machine": platform.platform(), "commands": facts}, indent=2) + "\n")


if __name__ == "__main__":
    main()
