"""Render a job script from JobSpec and Site. The same arguments give the same text.

Every value that a user can choose passes the filter ``sh`` (shlex.quote) on its way into a script, so that any string
arrives unchanged; an undefined name in a template is an error.
"""

from __future__ import annotations

import dataclasses
import re
import shlex
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from glob import has_magic
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template, TemplateNotFound

from hpcnn.jobs.launch import Expanded, as_ranks, container_command, cpus_of, launch_command, shell_word
from hpcnn.jobs.sbatch import directives
from hpcnn.jobs.setup import setup_lines
from hpcnn.rundir.layout import RunDir
from hpcnn.scheduler import scheduler_of
from hpcnn.scheduler.allocation import Allocation
from hpcnn.sites.load import cores_here
from hpcnn.sites.profile import Site
from hpcnn.specs.command_line import ALWAYS_OF_TRAINING, options_of
from hpcnn.specs.job import JobSpec
from hpcnn.specs.software import SoftwareSpec
from hpcnn.specs.train import TrainSpec, usual_strategy
from hpcnn.util.errors import bad_value, unknown_value
from hpcnn.util.share import share_dir
from hpcnn.util.types import Json
from hpcnn.util.user import expanded
from hpcnn.version import __version__
from hpcnn.zoo.catalogue import has_files
from hpcnn.zoo.forms import form_of, location_of

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True)
class Place:
    """Where a job runs: its run directory, the directory it starts in, and how hpcnn is called there.

    bin: the folder of the environment's programs (python, mpirun), put first in PATH.
    hpcnn: the words that start hpcnn, e.g. ``("/home/me/.venv/bin/hpcnn",)``.
    environment: variables that the script exports besides the site's (HPCNN_DATA, say).
    data: file of the training data, or None where it needs none.
    resume: whether a training goes on from the state in the run directory, if there is one.
    mpi: the MPI whose mpirun starts the ranks, as ``jobs.mpi`` writes it; None where nobody knows.
    allocation: the job of Slurm in which a site of this machine alone is used; None outside of jobs.
    """

    run_dir: str
    directory: str
    bin: str
    hpcnn: tuple[str, ...]
    environment: dict[str, str]
    data: str | None = None
    resume: bool = False
    mpi: str | None = None
    allocation: Allocation | None = None


def render(job: JobSpec, site: Site, place: Place) -> str:
    """Return the job script.

    Raises UsageError for a site whose template does not exist, for an option that the site refuses, and for one that it
    requires and did not get.
    """
    cpus, gpu = cpus_of(site, job.resources), bool(job.resources.gpus_per_node)
    environment = variables(site, job.software, place.environment, gpu)
    local_disk = Expanded(site.local_disk) if site.local_disk and is_staged(job) else None
    folders = [place.run_dir, place.directory]
    folders += [str(Path(place.directory, str(environment["HPCNN_DATA"])))] if "HPCNN_DATA" in environment else []
    folders += [str(Path(place.data).parent)] if place.data else []
    folders += _folders_of_data(job.train.data, place.directory) if job.train else []
    folders += [str(Path(place.directory, job.train.weights).parent)] if job.train and job.train.weights else []
    folders += [local_disk] if local_disk else []
    inside = container_command(site, job.software, folders, gpu, variables=environment)
    resuming = dataclasses.replace(place, resume=place.resume or job.resources.requeue)
    in_image = dataclasses.replace(resuming, hpcnn=("hpcnn",)) if inside else resuming
    program = train_command(job.train, in_image) if job.train else list(job.program)
    meets = not job.train and strategy_of(job) == "multiworker"
    if meets:
        program = [*in_image.hpcnn, "record", "as-worker", "--", *program]
    launched = has_launcher(job, place.allocation)
    launcher = [launch_command(site, job.resources, cpus, place.mpi, place.allocation)] if launched else []
    asked = []
    if scheduler_of(site.scheduler).writes_directives:
        asked = directives(job.name, job.resources, site, str(RunDir(place.run_dir).log), cpus)
    return _template(site).render(
        title=title(job),
        version=__version__,
        run_dir=place.run_dir,
        directory=place.directory,
        hpcnn=place.hpcnn,
        environment=environment,
        passed=job.software.pass_env,
        env_file=_absolute(place, job.software.env_file),
        strategy=strategy_of(job),
        ntasks=job.resources.ntasks,
        cpus_per_task=cpus,
        gpus_per_node=job.resources.gpus_per_node,
        mpirun=launched,
        allocation=place.allocation,
        command=[*launcher, *inside, as_ranks(program) if launched else program],
        bin=place.bin,
        directives=asked,
        modules=module_lines(site, job.software, gpu),
        setup=setup_lines(site, job.software),
        image=job.software.container,
        data=place.data,
        local_disk=local_disk,
        resume=resuming.resume and not job.train,
        stated=_stated(job),
        rendezvous=meets,
        tasks_per_node=-(-job.resources.ntasks // job.resources.nodes),
        requeue=job.resources.requeue,
        several_nodes=job.resources.nodes > 1,
        requeue_limit=job.resources.requeue_limit,
    )


def is_staged(job: JobSpec) -> bool:
    """Return whether copies of the data on the nodes' own disks serve a job.

    They do where several ranks, or several epochs, read the same files. ``--cache none`` refuses copies, and with
    ``local-disk`` the ranks make their own, decoded.
    """
    train = job.train
    if train is None or train.cache in ("none", "local-disk") or not has_files(train.data, train.data_args):
        return False
    return job.resources.ntasks > 1 or (form_of(train.data) is not None and train.cache != "memory")


def _folders_of_data(name: str, directory: str) -> list[str]:
    """Return the folders of the files of a form, which a container does not see by itself."""
    if form_of(name) is None:
        return []
    location = location_of(name)
    paths = [Path(directory, expanded(path)) for path in (*location.training, *location.test)]
    fixed = [path if path.is_dir() else path.parent for path in paths]
    while any(has_magic(str(path)) for path in fixed):
        fixed = [path.parent if has_magic(str(path)) else path for path in fixed]
    return [folder for folder in dict.fromkeys(map(str, fixed)) if not Path(folder).is_relative_to(directory)]


def _absolute(place: Place, file: str | None) -> str | None:
    return None if file is None else str(Path(place.directory, file))


def _stated(job: JobSpec) -> dict[str, int]:
    """Return what is stated of a program's work, by the end of the variable's name."""
    facts = {"BATCH_SIZE": job.stated.batch_size, "SAMPLES": job.stated.samples}
    return {key: value for key, value in facts.items() if value is not None}


def has_launcher(job: JobSpec, allocation: Allocation | None = None) -> bool:
    """Return whether a launcher starts the program of a job: several ranks, or one that bash cannot start in place.

    That is on a node of the allocation from the login node, and on all cores of a job of which bash has a part.
    """
    confined = allocation is not None and (
        not allocation.here or (allocation.nodes == 1 and cores_here(allocation) > cores_here(None))
    )
    return confined or job.resources.ntasks > 1 or strategy_of(job) in ("horovod", "multiworker")


def module_lines(site: Site, software: SoftwareSpec, gpu: bool) -> list[str]:
    """Return the lines that load modules: the site's, the container's where one is used, then the user's."""
    container = [site.container_module] if software.container and site.container_module else []
    modules = [*site.modules, *(site.modules_gpu if gpu else ()), *container, *software.module]
    return [f"module load {shlex.quote(module)}" for module in modules]


def variables(site: Site, software: SoftwareSpec, own: Mapping[str, str], gpu: bool) -> dict[str, Json]:
    """Return the variables to export. The user's own take precedence over hpcnn's ``own``, these over the site's.

    Raises UsageError for a name that is none of a variable (bash(1), "DEFINITIONS").
    """
    suffix = {"HPCNN_HOST_SUFFIX": site.host_suffix} if site.host_suffix else {}
    found = {**suffix, **site.environment, **(site.environment_gpu if gpu else {}), **own, **software.env}
    for key, value in found.items():
        if not _NAME.fullmatch(key):  # bash would run what stands in it
            raise bad_value("--env", f"{key}={value}", "a name of letters, digits and _ before the '='")
    return found


def strategy_of(job: JobSpec) -> str:
    """Return the strategy of a job; that of a user's own program follows from the number of ranks."""
    if job.train:
        return job.train.strategy
    return job.stated.strategy or usual_strategy(job.resources.ntasks)


def title(job: JobSpec) -> str:
    """Return the job's name, content, strategy, ranks and site as one line, whatever the names contain."""
    ranks = f"{job.resources.ntasks} {'rank' if job.resources.ntasks == 1 else 'ranks'}"
    what = f"{job.train.model} on {job.train.data}" if job.train else shlex.join(job.program)
    what = textwrap.shorten(what, 80, placeholder=" ...")
    return " ".join(f"{job.name}: {what}, {strategy_of(job)}, {ranks}, site {job.site}".split())


def train_command(spec: TrainSpec, place: Place) -> list[str]:
    """Return the argv of ``hpcnn train`` with every option that differs from its default."""
    words = [*place.hpcnn, "train", "--run-dir", place.run_dir, *(["--resume"] if place.resume else [])]
    return [*words, *options_of(spec, ALWAYS_OF_TRAINING)]


def render_array(title: str, directives: Sequence[str], folder: str, runs: Sequence[str]) -> str:
    """Return the script of a job array whose task N runs the ``job.sh`` of ``folder/runs[N]``.

    directives: each as it stands behind ``#SBATCH``.
    """
    template = _environment().get_template("slurm/array.sh.j2")
    return template.render(title=title, version=__version__, directives=directives, folder=folder, runs=runs)


def render_workers(
    title: str,
    directives: Sequence[str],
    *,
    directory: str,
    modules: Sequence[str],
    bin: str,
    environment: Mapping[str, str],
    setup: Sequence[str],
    command: Sequence[str],
) -> str:
    """Return the script of a worker of a search, started in ``directory`` by ``command``; the rest as in ``Place``.

    modules and setup: lines of bash.
    """
    return (
        _environment()
        .get_template("slurm/workers.sh.j2")
        .render(
            title=title,
            version=__version__,
            directives=directives,
            directory=directory,
            modules=modules,
            bin=bin,
            environment=environment,
            setup=setup,
            command=command,
        )
    )


def _template(site: Site) -> Template:
    try:
        return _environment().get_template(site.template)
    except TemplateNotFound as error:
        known = _environment().list_templates(filter_func=lambda name: name.endswith(".sh.j2"))
        raise unknown_value(f"site {site.name}: template", site.template, known) from error


@cache
def _environment() -> Environment:
    """Return the templates' environment; a study compiles a template once for all its runs."""
    environment = Environment(
        loader=FileSystemLoader(share_dir("templates")),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # bash, not HTML: `sh` is the escape
    )
    environment.filters["sh"] = lambda value: shlex.quote(str(value))
    environment.filters["words"] = shlex.join
    environment.filters["command_lines"] = command_lines
    return environment


def command_lines(parts: Sequence[Sequence[str]], run_dir: str) -> str:
    """Return a command in the layout of a person: each part, and each of hpcnn's ``--option``, on its own line.

    A user's own program (a part without the run directory) keeps its words on one line. The run directory is written
    as the script's own variable.
    """
    lines: list[list[str]] = []
    for number, part in enumerate(parts):
        own_program = number == len(parts) - 1 and run_dir not in part
        for position, word in enumerate(part):
            if position == 0 or (word.startswith("--") and not own_program):
                lines.append([])
            lines[-1].append('"$run_dir"' if word == run_dir else shell_word(word))
    return " \\\n    ".join(" ".join(line) for line in lines)
