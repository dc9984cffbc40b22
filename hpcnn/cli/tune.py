"""``hpcnn tune``: find the settings with which a network trains fastest on a machine, and keep them."""

from __future__ import annotations

import dataclasses
import json
import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hpcnn.cli.grouped import GroupedCommand
from hpcnn.cli.options import given_options, option_name, spec_from_options, spec_options
from hpcnn.cli.output import format_option
from hpcnn.cli.site_option import site_option
from hpcnn.specs.job import JobSpec, check_ranks
from hpcnn.specs.resources import Resources
from hpcnn.specs.software import SoftwareSpec
from hpcnn.specs.train import TrainSpec, usual_strategy
from hpcnn.util.errors import unknown_value
from hpcnn.util.table import Column, emit, note
from hpcnn.util.types import Json

if TYPE_CHECKING:
    from hpcnn.machine.tune.knobs import Knob
    from hpcnn.machine.tune.search import TuningResult
    from hpcnn.sites.profile import Site

WORK = ("model", "model_args", "data", "strategy", "batch_size", "optimizer", "loss", "precision", "sync_batch_norm")


@click.command(
    cls=GroupedCommand,
    epilog=(
        "\b\nExamples:\n"
        "  hpcnn tune --ntasks 2 --model scinet-cnn1\n"
        "  hpcnn tune --site narval --nodes 2 --ntasks-per-node 4 --gpus-per-node 4   (in a job there)"
    ),
)
@site_option("Site profile that is tuned.")
@click.option("--steps", type=click.IntRange(1), default=100, show_default=True, help="Steps of each timed epoch.")
@click.option("--setting", "only", metavar="VARIABLE", multiple=True, help="Try this one only; may be repeated.")
@click.option("--repeats", type=click.IntRange(1), default=5, show_default=True, help="Trials of each value.")
@click.option(
    "--folder",
    type=click.Path(file_okay=False),
    help="Folder of the trials' run directories.  [default: runs/tune/TIME]",
)
@click.option("--dry-run", is_flag=True, help="Show what would be tried, and do nothing else.")
@spec_options(TrainSpec, only=WORK)
@spec_options(Resources)
@spec_options(SoftwareSpec)
@format_option
def command(
    site: str,
    steps: int,
    only: tuple[str, ...],
    repeats: int,
    folder: str | None,
    dry_run: bool,
    fmt: str,
    **options: object,
) -> None:
    """Find the settings with which a network trains fastest on these resources, and write them to your site profile.

    Threads of TensorFlow and, with several ranks, how Horovod and Open MPI wait, fuse and group: one setting after the
    other, in short trainings of a few hundred steps, each value in turn with the settings that hold now. A value is
    kept where its median is more than 2 % above, and each of its trials above, the median without it; what was kept is
    measured together once more. None of them changes what is computed. Trials that fail are reported and skipped.
    """
    from hpcnn.jobs.launch import cpus_of
    from hpcnn.jobs.submit import prepare
    from hpcnn.machine.tune.knobs import knobs
    from hpcnn.machine.tune.search import search
    from hpcnn.machine.tune.trials import Trials, check_allocation
    from hpcnn.rundir.layout import new_run_id, runs_folder

    job = _job(site, steps, options)
    place = Path(folder) if folder else runs_folder() / "tune" / new_run_id()
    profile = prepare(job, place / "001").site  # raises for an invalid request before the first trial
    assert job.train is not None
    todo = _chosen(knobs(job.train.strategy, job.resources.ntasks, cpus_of(profile, job.resources)), only)
    start = _start(profile, job, todo)
    if dry_run:
        _list(todo, start, repeats, fmt)
        return
    check_allocation(profile, _sbatch(profile, job))
    trials = Trials(job, place, log=lambda line: click.echo(line, err=True))
    found = search(todo, start, trials.rate, repeats)
    file = _keep(profile, job, found) if found.settings else None
    _print(job, found, file, {"steps": steps, "repeats": repeats, "trials": str(place)}, fmt)


def _job(site: str, steps: int, options: dict[str, object]) -> JobSpec:
    from hpcnn.machine.tune.trials import trial_job

    chosen = given_options(TrainSpec, options)
    resources = spec_from_options(Resources, given_options(Resources, options))
    software = spec_from_options(SoftwareSpec, given_options(SoftwareSpec, options))
    train = spec_from_options(TrainSpec, {"strategy": usual_strategy(resources.ntasks), **chosen})
    check_ranks(resources, train, option_name)
    return trial_job(site, resources, software, train, steps)


def _chosen(every: list[Knob], only: tuple[str, ...]) -> list[Knob]:
    for variable in only:
        if variable not in (known := [knob.variable for knob in every]):
            raise unknown_value("--setting", variable, known)
    return [knob for knob in every if not only or knob.variable in only]


def _start(profile: Site, job: JobSpec, todo: list[Knob]) -> dict[str, str]:
    """Return the current values of knobs that are set: by the job's variables, else by this shell's."""
    from hpcnn.jobs.script import variables

    own = variables(profile, job.software, {}, bool(job.resources.gpus_per_node))
    now = {**os.environ, **{key: str(value) for key, value in own.items()}}
    return {knob.variable: now[knob.variable] for knob in todo if knob.variable in now}


def _sbatch(profile: Site, job: JobSpec) -> str:
    """Return the command that submits this command as one job."""
    from hpcnn.jobs.launch import cpus_of
    from hpcnn.jobs.sbatch import request
    from hpcnn.jobs.submit import hpcnn_command
    from hpcnn.scheduler import scheduler_of

    if not scheduler_of(profile.scheduler).queues:
        return ""
    asked = request(job.resources, profile, cpus_of(profile, job.resources))
    options = [f"--{key}" if value is None else f"--{key}={value}" for key, value in asked.items()]
    return shlex.join(["sbatch", *options, f"--wrap={shlex.join([*hpcnn_command(), *sys.argv[1:]])}"])


def _list(todo: list[Knob], start: dict[str, str], repeats: int, fmt: str) -> None:
    rows = [
        {
            "setting": knob.variable,
            "meaning": knob.words,
            "now": start.get(knob.variable, knob.default),
            "values": list(knob.candidates(start)),
        }
        for knob in todo
    ]
    columns = [
        Column("setting", "setting"),
        Column("meaning", "meaning"),
        Column("now", "now", right=True),
        Column("values", "to try", ", ".join),
    ]
    most = repeats * (sum(1 + len(knob.candidates(start)) for knob in todo) + 2)
    emit(rows, fmt, columns, title=f"at most {most} trials")


def _keep(profile: Site, job: JobSpec, found: TuningResult) -> Path:
    from hpcnn.machine.tune.keep import keep
    from hpcnn.rundir.layout import utc_now
    from hpcnn.sites.load import user_folder

    assert job.train is not None
    assert found.together is not None
    row = found.together.row()
    gain = f"{row['ratio']:.2f} x ({row['ratio_low']:.2f}..{row['ratio_high']:.2f}) together"
    note = f"hpcnn tune, {utc_now()[:10]}: {_work(job)}: {gain}"
    file = user_folder() / f"{profile.name}.toml"
    keep(file, "environment_gpu" if job.resources.gpus_per_node else "environment", found.settings, note)
    return file


def _work(job: JobSpec) -> str:
    train, count = job.train, job.resources.ntasks
    assert train is not None
    ranks = f"{count} {'rank' if count == 1 else 'ranks'}"
    return f"{train.model} on {train.data}, global batch size {train.batch_size}, {train.strategy}, {ranks}"


def _print(job: JobSpec, found: TuningResult, file: Path | None, facts: dict[str, Json], fmt: str) -> None:
    """Print the result: a table for people, the whole result as JSON, or the rows as CSV."""
    from hpcnn.machine.tune.rule import RULE

    rows = [one.row() for one in [*found.tried, *([found.together] if found.together else [])]]
    if fmt == "json":
        train = dataclasses.asdict(job.train) if job.train else {}
        asked = {"site": job.site, "train": train, "ntasks": job.resources.ntasks, **facts, "rule": RULE}
        kept = {"settings": found.settings, "file": str(file) if file else None}
        click.echo(json.dumps({**asked, **kept, "tried": rows}, indent=2))
        return
    columns = [
        Column("setting", "setting"),
        Column("value", "value", right=True),
        Column("instead_of", "now", right=True),
        Column("trials", "trials", right=True),
        Column("images_per_second", "images/s", _rate, right=True),
        Column("base_images_per_second", "without it", _rate, right=True),
        Column("ratio", "ratio", _ratio, right=True),
        Column("ratio_low", "from", _ratio, right=True),
        Column("ratio_high", "to", _ratio, right=True),
        Column("verdict", "verdict"),
    ]
    emit(rows, fmt, columns, title=_work(job))
    aside = fmt != "table"
    for row in rows:
        if row["reason"]:
            note(f"failed: {row['setting']}={row['value']}: {row['reason']}", err=True)
    click.echo(f"A value is kept if it is faster: {RULE}.", err=aside)
    click.echo(f"{file}: written (hpcnn sites show {job.site} --origin)" if file else "Nothing was written.", err=aside)


def _rate(value: float) -> str:
    return f"{value:,.0f}"


def _ratio(value: float) -> str:
    return f"{value:.2f}"
