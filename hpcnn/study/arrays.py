"""Group the runs of a study into job arrays: runs with the same resources share one, up to the site's limit. Pure.

Each run keeps its own run directory and its own job.sh, as if it were submitted alone; the array requests the resources
and selects the run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hpcnn.jobs.sbatch import file_name, quoted
from hpcnn.jobs.script import render_array
from hpcnn.jobs.submit import Prepared
from hpcnn.rundir.layout import ARRAYS

FOLDER = ARRAYS
_DIRECTIVE = "#SBATCH "


@dataclass(frozen=True)
class Batch:
    """One submission by sbatch: the script, and its runs in the order of the tasks.

    script: None on a site without job arrays; then ``runs`` is one run, and its own job.sh is the script.
    """

    name: str
    runs: tuple[Prepared, ...]
    script: str | None

    @property
    def text(self) -> str:
        """Return the text of the script."""
        return self.runs[0].script if self.script is None else self.script

    def file(self, folder: Path) -> Path:
        """Return the path of the script in the study's folder."""
        return self.runs[0].run.job_script if self.script is None else folder / FOLDER / f"{self.name}.sh"


def batches(runs: Sequence[Prepared], folder: Path, name: str, limit: int, max_concurrent: int | None) -> list[Batch]:
    """Group runs into submissions, in the order of their first runs.

    name: of all submissions, which are numbered. limit: largest number of tasks of one array; 0 on a site without
    arrays. max_concurrent: tasks of one array that may run at once. Raises UsageError for a path that is invalid in a
    directive.
    """
    if limit == 0:
        return [Batch(f"{name}-{number}", (run,), None) for number, run in enumerate(runs, start=1)]
    shapes: dict[tuple[str, ...], list[Prepared]] = {}
    for run in runs:
        shapes.setdefault(shape(run.script), []).append(run)
    parts = [
        (directives, tuple(members[first : first + limit]))
        for directives, members in shapes.items()
        for first in range(0, len(members), limit)
    ]
    return [
        Batch(f"{name}-{number}", members, _script(directives, members, folder, f"{name}-{number}", max_concurrent))
        for number, (directives, members) in enumerate(parts, start=1)
    ]


def shape(script: str) -> tuple[str, ...]:
    """Return the directives of a job script except the path of its log: runs with the same ones can share an array."""
    lines = (line.removeprefix(_DIRECTIVE) for line in script.splitlines() if line.startswith(_DIRECTIVE))
    return tuple(line for line in lines if not line.startswith("--output="))


def _script(
    directives: tuple[str, ...], runs: tuple[Prepared, ...], folder: Path, name: str, max_concurrent: int | None
) -> str:
    log = file_name(str(folder.absolute() / FOLDER / f"{name}.out"))
    at_once = f"%{max_concurrent}" if max_concurrent else ""
    job, site = runs[0].job, runs[0].site.name
    count = f"{len(runs)} {'run' if len(runs) == 1 else 'runs'}"
    return render_array(
        " ".join(f"{job.name}: {count}, each a task of this array, site {site}".split()),
        [*directives, f"--array=0-{len(runs) - 1}{at_once}", f"--output={quoted('output', log)}"],
        str(folder.absolute()),
        [run.run.path.name for run in runs],
    )
