"""``hpcnn.run(...)``: start a training from Python, as ``hpcnn submit`` starts one on this machine.

It renders the same job script and runs it to its end. The ranks are separate processes: the kernel of a notebook
imports no TensorFlow, and the memory of a GPU is free again afterwards.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from hpcnn.jobs.submit import prepare, submit
from hpcnn.notebook.progress import Progress
from hpcnn.notebook.result import Result
from hpcnn.rundir.layout import RunDir, folder_name, new_run_id, runs_folder
from hpcnn.specs.fields import check_field, from_mapping
from hpcnn.specs.job import JobSpec, check_ranks
from hpcnn.specs.resources import Resources
from hpcnn.specs.train import TrainSpec, usual_strategy
from hpcnn.util.errors import RunError, bad_value, unknown_value
from hpcnn.util.pickled import is_pickled, name_of

if TYPE_CHECKING:
    from hpcnn.util.types import Json, UserFunction

# Resources that a job on this machine can have, of all those of Slurm.
_RESOURCES = ("cpus_per_task", "gpus_per_node")
_OWN = ("model", "data", "ranks", "name", "run_dir", "progress")
_LINES_OF_LOG = 20


def run(
    model: str | UserFunction = "scinet-cnn1",
    data: str | UserFunction = "digits",
    ranks: int = 1,
    *,
    name: str | None = None,
    run_dir: str | os.PathLike[str] | None = None,
    progress: bool = True,
    **options: Json,
) -> Result:
    """Train a model on this machine, wait for its end, and return its result.

    model: a name of ``hpcnn models``, ``package.module:function``, or the function itself, which returns a Keras model
        and gets ``input_shape`` and ``classes`` if it has arguments of these names. A function may be defined in the
        notebook: it is then kept in the folder ``functions`` of the runs folder, with all that it refers to.
    data: a name of ``hpcnn data list``, a path ending in ``.npz``, ``package.module:function``, or the function itself,
        which returns (x_train, y_train), (x_test, y_test).
    ranks: processes; with more than one the strategy is horovod unless ``strategy`` says otherwise.
    name, run_dir: as ``--name`` and ``--run-dir`` of ``hpcnn submit``.
    progress: whether to show the output of the training: in a notebook its last line, elsewhere all lines.
    options: those of ``hpcnn train`` with underscores (``epochs=3``, ``batch_size=64``, ``checkpoint=True``), and
        ``cpus_per_task``, ``gpus_per_node``.

    Raises UsageError for an unknown option or an invalid value, before anything runs; RunError with the last lines of
    the log for a training that failed. A KeyboardInterrupt ends the training.
    """
    _check_options(options)
    job = _job(_name_of_argument("model", model), _name_of_argument("data", data), ranks, name, options)
    folder = Path(run_dir) if run_dir is not None else runs_folder() / job.name / new_run_id()
    prepared = prepare(job, folder)
    with Progress(prepared.run.path, shown=progress) as shown:
        code = submit(prepared, on_line=shown.line)
    if code:
        raise RunError(_why(prepared.run, code))
    return Result(prepared.run.path)


def _check_options(options: Mapping[str, Json]) -> None:
    """Raise UsageError for an unknown keyword."""
    valid = [*_OWN, *_RESOURCES, *(f.name for f in fields(TrainSpec) if f.name not in _OWN)]
    for key in options:
        if key not in valid:
            raise unknown_value("keyword", key, valid)


def _name_of_argument(keyword: str, given: object) -> str:
    """Return the name of a model or of data, given as a name or as a function. Raises UsageError for anything else."""
    if isinstance(given, (str, os.PathLike)):
        return os.fspath(given)
    if not callable(given) or hasattr(given, "fit"):  # a Keras model can be called too
        raise bad_value(keyword, given, "a name, or a function (not what it returns)")
    return name_of(given, runs_folder() / "functions")


def _job(model: str, data: str, ranks: int, name: str | None, options: Mapping[str, Json]) -> JobSpec:
    asked = {key: value for key, value in options.items() if value is not None}
    resources = Resources(
        ntasks=check_field(Resources, "ntasks", ranks, "ranks"),
        **{key: check_field(Resources, key, asked.pop(key), key) for key in _RESOURCES if key in asked},
    )
    train = from_mapping(TrainSpec, {"model": model, "data": data, "strategy": usual_strategy(ranks), **asked})
    check_ranks(resources, train, lambda key: "ranks" if key == "ntasks" else key)
    return JobSpec(name or folder_name(_name_of_model(model)), "local", resources, train=train)


def _name_of_model(model: str) -> str:
    """Return a model's id or ``module:function``; of a function of the notebook, which hpcnn pickled, its own name."""
    return model.rpartition(":")[2] if is_pickled(model) else model


def _why(run: RunDir, code: int) -> str:
    """Return why a training failed, with the end of its log."""
    reason = (run.read_result() or {}).get("reason") or f"exit status {code}"
    log = run.log.read_text(encoding="utf-8", errors="replace").rstrip("\n").splitlines() if run.log.exists() else []
    end = "\n".join(log[-_LINES_OF_LOG:])
    return f"the training failed: {reason}\nrun directory: {run.path}\nthe last lines of its log:\n{end}"
