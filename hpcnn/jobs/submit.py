"""Submit a job: render its script, write the run directory, and run or enqueue the script.

``prepare`` is the whole path of a dry run; ``submit`` (at once) and ``enqueue`` (in the queue) take what it prepared.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hpcnn.jobs.checks import check_program, check_request, warnings_of
from hpcnn.jobs.mpi import mpi_of
from hpcnn.jobs.script import Place, has_launcher, render
from hpcnn.jobs.submission import check_job_has_ended, submit_recorded
from hpcnn.rundir.close import exit_status, finish
from hpcnn.rundir.layout import SCHEMA_VERSION, RunDir
from hpcnn.rundir.owner import own
from hpcnn.scheduler import job_lives, scheduler_of
from hpcnn.scheduler.allocation import Allocation, allocation_of
from hpcnn.scheduler.api import NoAnswer
from hpcnn.sites.load import load_site, with_machine_cores
from hpcnn.sites.profile import Site
from hpcnn.specs.fields import to_mapping
from hpcnn.specs.job import JobSpec
from hpcnn.specs.numpy_options import check_options
from hpcnn.specs.resources import Resources
from hpcnn.specs.software import check_environment
from hpcnn.specs.train import check_weights_file
from hpcnn.util.errors import HpcnnError, bad_value, not_there
from hpcnn.util.exit_status import by_signal
from hpcnn.util.files import write_json, write_text
from hpcnn.util.seal import sealed
from hpcnn.zoo.catalogue import FOLDER_VARIABLE, check_name, check_staged, file_of
from hpcnn.zoo.catalogue import check_arguments as check_data_arguments
from hpcnn.zoo.registry import check_arguments as check_model_arguments
from hpcnn.zoo.registry import check_name as check_model_name


@dataclass(frozen=True)
class Prepared:
    """A job that is ready to run; no file of it is written yet. warnings: what the user should be told of it."""

    job: JobSpec
    site: Site
    run: RunDir
    script: str
    resume: bool = False
    warnings: tuple[str, ...] = ()


def prepare(job: JobSpec, run_dir: Path, *, resume: bool = False) -> Prepared:
    """Render the job's script. Writes no file. Raises UsageError for a request that the site cannot fulfil.

    resume: the run directory holds an earlier attempt of the job, with which it goes on.
    """
    if job.train is not None:
        check_model_name(job.train.model)
        check_model_arguments(job.train.model, job.train.model_args)
        check_options(job.train)
        check_name(job.train.data)
        check_data_arguments(job.train.data, job.train.data_args)
    site = with_machine_cores(load_site(job.site))
    check_request(job.resources, site)
    allocation = allocation_of(os.environ) if scheduler_of(site.scheduler).this_machine_only else None
    if scheduler_of(site.scheduler).this_machine_only:
        job = dataclasses.replace(job, resources=_on_nodes(job.resources, site, allocation))
    place = Place(
        run_dir=str(run_dir.absolute()),
        directory=str(Path.cwd()),
        bin=str(Path(sys.executable).parent),
        hpcnn=hpcnn_command(),
        environment={key: os.environ[key] for key in (FOLDER_VARIABLE,) if key in os.environ},
        data=_data_file(job, site),
        resume=resume,
        mpi=mpi_of(site, os.environ) if has_launcher(job, allocation) else None,
        allocation=allocation,
    )
    return Prepared(job, site, RunDir(run_dir), render(job, site, place), resume, warnings_of(job))


def _on_nodes(resources: Resources, site: Site, allocation: Allocation | None) -> Resources:
    """Return resources with the nodes that their ranks go to: this machine, or all of the allocation it is used in.

    Raises UsageError for more nodes than there are.
    """
    nodes = allocation.nodes if allocation else 1
    if resources.nodes > nodes:
        there = f"at most {nodes}, the nodes of this allocation" if nodes > 1 else "1"
        raise bad_value("nodes", resources.nodes, f"{there} at site {site.name}, which is this machine alone")
    if resources.nodes > 1 or resources.ntasks_per_node is not None:
        return resources
    return dataclasses.replace(resources, nodes=min(nodes, resources.ntasks))


def submit(prepared: Prepared, on_line: Callable[[str], None] | None = None) -> int:
    """Run a job here and now, to its end; return its exit status.

    The status is 0 only for a run whose record says ``completed``. on_line: gets the job's output line by line. An
    interrupted job is recorded as such before KeyboardInterrupt goes on.
    """
    run = prepared.run
    with written(prepared):
        try:
            code = scheduler_of(prepared.site.scheduler).run(run.job_script, run.log, on_line)
        except KeyboardInterrupt:
            finish(run.path, by_signal(signal.SIGINT))
            raise
        finish(run.path, code)
        recorded = exit_status(run)
    return code or (1 if recorded is None else recorded)


def enqueue(prepared: Prepared, options: Sequence[str] = ()) -> str:
    """Submit a job to the queue of its site; return its id, which ``job.json`` of the run directory keeps.

    A job that the scheduler refuses is recorded as failed, with the scheduler's reason, before the HpcnnError goes on.
    Raises UsageError for a run directory whose job is in the queue, and NoAnswer where it may be, or where nobody knows
    whether the scheduler has accepted the new job.
    """
    run = prepared.run
    check_job_has_ended(run, "Name another directory by --run-dir, or ask where the scheduler answers")
    write(prepared)
    try:
        return submit_recorded(run.job_script, run.job, prepared.site, options)
    except NoAnswer:
        raise
    except HpcnnError as error:
        finish(run.path, error.exit_code, reason=str(error))
        raise


def write(prepared: Prepared, *, durable: bool = True) -> None:
    """Write the run directory's first files: job spec and script. durable: as for ``files.write_text``.

    Raises InUse where another attempt is at work in the directory.
    """
    with written(prepared, durable=durable):
        pass


def check_inputs(prepared: Prepared) -> None:
    """Raise UsageError where the program, the data, the weights or the variables of a job are not there."""
    job = prepared.job
    check_program(job, prepared.site, Path.cwd(), _path_of_jobs())
    if job.train is not None:
        check_staged(job.train.data, job.train.data_args)
        if not scheduler_of(prepared.site.scheduler).queues and job.train.data.endswith(".npz"):
            _check_file(job.train.data)  # the nodes of a cluster may have folders of their own
        if not prepared.resume:
            check_weights_file(job.train)
    check_environment(job.software)


def _check_file(name: str) -> None:
    if not Path(name).is_file():
        raise not_there("--data", name, "an .npz file")


@contextlib.contextmanager
def written(prepared: Prepared, *, durable: bool = True) -> Iterator[None]:
    """Write the run directory's first files, as ``write`` does, and own the directory while the block runs."""
    run, job = prepared.run, prepared.job
    check_inputs(prepared)
    run.create(resume=prepared.resume)
    with own(run.path, job_lives):
        run.create(resume=prepared.resume)  # another attempt may have come to its end before this one owned it
        if prepared.resume:
            run.forget_end()
        else:
            run.clear_attempt(own_program=job.train is None)
        spec = {"schema": SCHEMA_VERSION, "hpcnn": _version(), **to_mapping(job)}
        write_json(run.spec, sealed(spec), durable=durable)
        write_text(run.job_script, prepared.script, executable=True, durable=durable)
        yield


def _path_of_jobs() -> str:
    """Return where a job script looks for commands: first among the programs of this environment."""
    return os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)))


def _data_file(job: JobSpec, site: Site) -> str | None:
    """Return the file of a training's data; None without one, and where the job's own variables name its folder."""
    if job.train is None or FOLDER_VARIABLE in {**site.environment, **job.software.env}:
        return None
    file = file_of(job.train.data)
    return str(file) if file else None


def hpcnn_command() -> tuple[str, ...]:
    """Return the argv of this installation: the console script beside this Python, or ``python -m hpcnn``."""
    script = Path(sys.executable).with_name("hpcnn")
    if script.is_file():
        return (str(script),)
    found = shutil.which("hpcnn")
    return (found,) if found else (sys.executable, "-m", "hpcnn")


def _version() -> str:
    from hpcnn.version import __version__

    return __version__
