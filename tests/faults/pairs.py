"""Let two commands begin in one place at the same moment: one is refused, or both work together; never a mixture."""

from __future__ import annotations

import itertools
import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from tests.faults import commands, networks
from tests.faults.kinds import Action, Kind, Wrong, again, fresh, oracle
from tests.faults.process import Ended, hpcnn, run

# Statuses of what is refused: by its owner (2), by a lock (1).
_REFUSED = (1, 2)


def pairs(kinds: list[Kind]) -> Iterator[tuple[str, Kind, Kind]]:
    """Yield each kind twice."""
    for kind in kinds:
        if not kind.slow:
            yield f"{kind.name} twice", kind, kind


def of_trainings() -> Iterator[tuple[str, Kind, Kind]]:
    """Yield what goes on with one training that was stopped, in all pairs."""
    resume = next(kind for kind in commands.job_kinds() if kind.name == "resume")
    ways = {
        "resume": resume,
        "train --resume": replace(resume, action=_train),
        "job.sh": replace(resume, before=_with_job(resume.before), action=_job),
    }
    for (name, one), (other_name, other) in itertools.combinations_with_replacement(ways.items(), 2):
        if name != "resume" or other_name != "resume":
            before = ways["job.sh"].before
            yield f"{name} and {other_name}", replace(one, before=before), replace(other, before=before)


def of_networks(place: Path) -> Iterator[tuple[str, Kind, Kind]]:
    """Yield the pairs that need TensorFlow."""
    kinds = {kind.name: kind for kind in networks.kinds(place)}
    for name in ("a script", "Keras, all networks kept", "export"):
        yield f"{name} twice", kinds[name], kinds[name]


def at_once(one: Kind, other: Kind, place: Path, times: int) -> int:
    """Begin two commands at once, some times; what is there afterwards is what one alone would have made."""
    right = oracle(one, place)
    for number in range(times):
        folder = fresh(one, place)
        first, second = _both(one.action(folder), other.action(folder), place)
        for ended in (first, second):
            if "Traceback" in ended.output or ended.status not in (0, *_REFUSED):
                raise Wrong(f"attempt {number}: {ended.status}: {ended.output}")
        if first.status and second.status:
            if not one.again:
                raise Wrong(f"attempt {number}: both are refused: {first.output} --- {second.output}")
            again(one, folder, place)
        if (facts := one.facts(folder)) != right.facts:
            raise Wrong(f"attempt {number}: {facts}, not {right.facts}: {first.output} --- {second.output}")
    return times


def _both(one: Action, other: Action, place: Path) -> tuple[Ended, Ended]:
    """Run two actions at the same time, each in a fork that waits until the other is there."""
    started, go = os.pipe()
    ends = []
    for action in (one, other):
        file = place / f"output-{len(ends)}"
        pid = os.fork()
        if pid == 0:
            os.close(go)
            os.read(started, 1)  # ends when the last writer has closed
            ended = run(action, place)
            file.write_text(f"{ended.status}\n{ended.output}")
            os._exit(0)
        ends.append((pid, file))
    os.close(started)
    os.close(go)
    found = []
    for pid, file in ends:
        os.waitpid(pid, 0)
        status, _, output = file.read_text().partition("\n")
        found.append(Ended(int(status), output, 0))
    return found[0], found[1]


def _train(folder: Path) -> Action:
    return hpcnn("train", *commands.BEACH, "--epochs", 3, "--resume", "--run-dir", folder / "run")


def _with_job(before: Callable[[Path], None]) -> Callable[[Path], None]:
    """Make the job script of a resumption ready, as Slurm would start it twice."""

    def ready(folder: Path) -> None:
        before(folder)
        script = run(hpcnn("resume", folder / "run", "--dry-run"), folder)
        (folder / "run" / "job.sh").write_text(script.output)

    return ready


def _job(folder: Path) -> Action:
    def action() -> None:
        raise SystemExit(subprocess.run(["bash", folder / "run" / "job.sh"], check=False).returncode)

    return action
