"""A study of many jobs on a real Slurm: submitted, looked at, cancelled, half of it lost with its nodes, and resumed.

``python benchmarks/study_scale.py [--points N] [--nodes N] [--json FILE]`` starts the testbed of hpcnn's own tests
(root; ``make scale`` does so), unless one is up, and takes a study of N runs through all of that. The runs are real
jobs of a program that waits as long as it is told to. Of each of hpcnn's commands the seconds, the peak memory and the
calls of Slurm's commands are printed, which are counted by wrappers first in PATH; then it is checked from what the
runs wrote that every run ended once and none began after its end. Once only: a repeat takes minutes.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from common import Result, machine, markdown, parser, report

from tests.testbed import cluster as testbed
from tests.testbed import config
from tests.testbed.config import Testbed

COMMANDS = ("sbatch", "squeue", "sacct", "scancel", "scontrol", "sinfo")
SITE = 'scheduler = "slurm"\nlauncher = "srun"\nmpi_type = "none"\ncores = 2\ntime = "00:30:00"\n'
PROGRAM = """\
say() { echo "$1 ${HPCNN_RUN_DIR##*/}" >> FOLDER/said; }
say began
while [ -e FOLDER/wait ]; do sleep 2; done
say ended
"""
LONGEST_WAIT = 3600.0


@dataclass(frozen=True)
class Phase:
    """One command of hpcnn's: its seconds, peak memory in bytes, and calls of Slurm's commands."""

    name: str
    seconds: float
    memory: int
    calls: Counter[str]


class Study:
    """The study, its folder, and hpcnn as its user calls it."""

    def __init__(self, bed: Testbed, folder: Path, points: int) -> None:
        self.bed, self.folder, self.phases = bed, folder, list[Phase]()
        self.file, self.runs = folder / "scale.toml", folder / "runs"
        words = json.dumps(["sh", "-c", PROGRAM.replace("FOLDER", str(folder))])
        resources = "[resources]\nntasks = 1\ncpus_per_task = 1\n"
        self.file.write_text(f'name = "scale"\nprogram = {words}\nrepeats = {points}\n{resources}')
        (folder / "config" / "sites").mkdir(parents=True)
        (folder / "config" / "sites" / "testbed.toml").write_text(SITE)
        (folder / "bin").mkdir()
        for command in COMMANDS:
            wrapper = folder / "bin" / command
            wrapper.write_text(f'#!/bin/sh\necho {command} >> {folder}/calls\nexec {shutil.which(command)} "$@"\n')
            wrapper.chmod(0o755)
        own = testbed.environment(bed)
        self.environment = {**own, "PATH": f"{folder}/bin:{own['PATH']}", "HPCNN_CONFIG": str(folder / "config")}

    def hpcnn(self, name: str, *words: str) -> str:
        """Run a command of hpcnn's, keep what it cost, and return what it printed."""
        calls = self.folder / "calls"
        calls.write_text("")
        begin = time.monotonic()
        with tempfile.TemporaryFile("w+") as output:
            process = subprocess.Popen(
                [str(Path(sys.executable).with_name("hpcnn")), *words],
                env=self.environment,
                cwd=self.folder,
                stdout=output,
                stderr=sys.stderr,
            )
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            seconds = time.monotonic() - begin
            output.seek(0)
            said = output.read()
        phase = Phase(name, seconds, usage.ru_maxrss * 1024, Counter(calls.read_text().split()))
        self.phases.append(phase)
        print(f"{name}: {seconds:.1f} s, exit status {process.returncode}, {dict(phase.calls)}", flush=True)
        if process.returncode:
            raise SystemExit(f"{name}: exit status {process.returncode}\n{said}")
        return said

    def submit(self, name: str, *words: str) -> str:
        """Submit what is missing."""
        return self.hpcnn(name, "study", "submit", str(self.file), *self._where(), *words)

    def status(self, name: str) -> Counter[str]:
        """Return the number of runs by their status."""
        said = self.hpcnn(name, "study", "status", str(self.file), *self._where(), "--each", "--format", "json")
        return Counter(str(row["status"]) for row in json.loads(said))

    def cancel(self, name: str) -> None:
        """Cancel all runs."""
        self.hpcnn(name, "cancel", str(self.runs / "scale"))

    def _where(self) -> tuple[str, ...]:
        return ("--site", "testbed", "--runs", str(self.runs))

    def jobs(self, *states: str) -> int:
        """Return the number of this study's jobs in such states, as Slurm says."""
        words = ["squeue", "-h", "-r", "-o", "%i", "-t", ",".join(states)]
        found = subprocess.run(
            words, env=testbed.environment(self.bed), capture_output=True, text=True, timeout=120, check=True
        )
        return len(found.stdout.split())

    def said(self) -> list[list[str]]:
        """Return (began or ended, run) in the order in which the runs wrote it."""
        file = self.folder / "said"
        return [line.split() for line in file.read_text().splitlines()] if file.exists() else []

    def ended(self) -> int:
        """Return how many runs have ended."""
        return sum(word == "ended" for word, _ in self.said())

    def recorded(self) -> int:
        """Return how many runs have a result, of whatever kind, besides attempts that were set aside."""
        return sum("~" not in file.parent.name for file in (self.runs / "scale").glob("*/result.json"))


def wait_for(what: str, ready: Callable[[], bool]) -> None:
    """Return as soon as something is so."""
    end = time.monotonic() + LONGEST_WAIT
    while not ready():
        if time.monotonic() > end:
            raise SystemExit(f"it did not come to this: {what}")
        time.sleep(1.0)


def take_through(study: Study, points: int, nodes: int, lost: int) -> None:
    """Submit, look, cancel, submit again, lose half of it, resume it to its end; check what the runs say of it."""
    wait, slots = study.folder / "wait", min(config.CPUS * nodes, points)
    alive = ("PENDING", "RUNNING", "COMPLETING")
    wait.touch()
    study.submit("submit")
    wait_for("all slots are taken", lambda: study.jobs("RUNNING") >= slots)
    expect(study.status("status, in the queue"), running=slots, pending=points - slots)
    study.cancel("cancel")
    wait_for("nothing is left of what was cancelled", lambda: study.jobs(*alive) == 0)
    expect(study.status("status, cancelled"), interrupted=points)

    study.submit("submit again")
    wait.unlink()
    wait_for("half of the study is done", lambda: study.ended() >= points // 2)
    wait.touch()
    slots = min(slots, study.jobs(*alive))
    wait_for("what waits has its slots", lambda: study.jobs("RUNNING") >= slots)
    wait_for("what has ended has its record", lambda: study.recorded() == study.ended())
    for node in range(1, lost + 1):
        testbed.kill_node(study.bed, node)
    missed = config.CPUS * lost if slots == config.CPUS * nodes else 1
    wait_for("Slurm misses the nodes", lambda: study.jobs("RUNNING") <= slots - missed)
    subprocess.run(["scancel", "--me"], env=testbed.environment(study.bed), check=True)
    wait_for("the queue is empty", lambda: study.jobs(*alive) == 0)
    wait.unlink()  # not before: what is being cancelled could come to its end
    done = study.status("status, half of it lost")
    print(f"lost: {dict(done)}", flush=True)

    study.submit("resume, to its end", "--wait")
    expect(study.status("status, completed"), completed=points)
    check(study.said(), points)
    check_calls(study.phases, points)


def expect(found: Counter[str], **wanted: int) -> None:
    """Leave with an error unless so many runs have these statuses."""
    if found != Counter({status: number for status, number in wanted.items() if number}):
        raise SystemExit(f"expected {wanted}, found {dict(found)}")


def check(said: list[list[str]], points: int) -> None:
    """Leave with an error unless every run ended once, and none began again after its end."""
    ended: set[str] = set()
    for word, run in said:
        if run in ended:
            raise SystemExit(f"{run} {word} after its end")
        if word == "ended":
            ended.add(run)
    if len(ended) != points:
        raise SystemExit(f"{len(ended)} of {points} runs have ended")
    print(f"{points} runs ended, each once; none began again after its end", flush=True)


def check_calls(phases: Sequence[Phase], points: int) -> None:
    """Leave with an error where a command has called Slurm more often than its batches, and the time, account for."""
    batches = -(-points // (config.MAX_ARRAY - 1))
    for phase in phases:
        if phase.calls["sbatch"] > batches:
            raise SystemExit(f"{phase.name}: {phase.calls['sbatch']} calls of sbatch for {batches} batches")
        if phase.calls.total() > 8 + 3 * batches + phase.seconds:
            raise SystemExit(f"{phase.name}: {dict(phase.calls)} for {batches} batches in {phase.seconds:.0f} s")


@contextmanager
def cluster(nodes: int) -> Iterator[tuple[Testbed, int]]:
    """Yield a testbed and its number of nodes: one that is up, or one of so many nodes that is stopped afterwards."""
    bed = Testbed(testbed.ROOT, nodes=nodes)
    if testbed.is_up(bed):
        yield bed, testbed.idle_nodes(bed)
        return
    begin = time.monotonic()
    testbed.up(bed)
    print(f"{nodes} nodes are idle after {time.monotonic() - begin:.0f} s", flush=True)
    try:
        yield bed, nodes
    finally:
        testbed.down(bed)


def main() -> None:
    """Take a study through all of it, and report."""
    options = parser(__doc__, repeats=1)
    options.add_argument("--points", type=int, default=1000, help="runs of the study [%(default)s]")
    options.add_argument("--nodes", type=int, default=64, help="nodes of a testbed that it starts [%(default)s]")
    options.add_argument("--lost", type=int, default=6, help="nodes that die [%(default)s]")
    asked = options.parse_args()
    points, lost = (24, 1) if asked.smoke else (asked.points, asked.lost)
    reason = testbed.missing()
    if reason:
        raise SystemExit(f"no testbed: {reason}")
    facts = machine()
    with cluster(3 if asked.smoke else asked.nodes) as (bed, nodes):
        folder = Path(tempfile.mkdtemp(prefix="scale-", dir=bed.root / "shared"))
        study = Study(bed, folder, points)
        try:
            take_through(study, points, nodes, lost)
        finally:
            subprocess.run(["scancel", "--me"], env=testbed.environment(bed), check=False)
            for node in range(1, lost + 1):
                testbed.start_node(bed, node)
            shutil.rmtree(folder, ignore_errors=True)
    rows, results = [], []
    for phase in study.phases:
        calls = [str(phase.calls[command]) for command in COMMANDS[:4]]
        rows.append([phase.name, f"{phase.seconds:.1f}", f"{phase.memory / 2**20:.0f}", *calls])
        results.append(Result(phase.name, "seconds", "s", [phase.seconds]))
        results.append(Result(phase.name, "peak memory", "bytes", [phase.memory]))
        results.append(Result(phase.name, "calls of Slurm", "calls", [sum(phase.calls.values())]))
    headings = ("command", "seconds", "peak memory, MiB", *COMMANDS[:4])
    report("study_scale", facts, markdown(headings, rows), results, asked.json)


if __name__ == "__main__":
    main()
