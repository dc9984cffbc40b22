"""The names of Horovod's Keras interface that hpcnn does not have, each with the reason and what to use instead."""

from __future__ import annotations

from typing import NoReturn

from hpcnn.util.errors import UsageError


class RefusedName(UsageError, AttributeError):
    """A name of Horovod's interface that hpcnn does not have; ``hasattr`` is false for it, as for any missing name."""


_ELASTIC = (
    "elastic training changes the number of ranks while it runs, and hpcnn checks that it stays what the job asked "
    "for; a job that was stopped goes on with `hpcnn resume`"
)
_SETS = "hpcnn reduces over all ranks, and checks that all hold the same weights"

_REASONS = {
    "elastic": _ELASTIC,
    "KerasState": _ELASTIC,
    "CommitStateCallback": _ELASTIC,
    "CommitStateCallbackImpl": _ELASTIC,
    "UpdateBatchStateCallback": _ELASTIC,
    "UpdateEpochStateCallback": _ELASTIC,
    "ProcessSet": _SETS,
    "add_process_set": _SETS,
    "remove_process_set": _SETS,
    "PartialDistributedOptimizer": _SETS,
}


def refuse(module: str, name: str) -> NoReturn:
    """Raise the error for a name that a module does not have: with the reason, if it is one of Horovod's."""
    if name in _REASONS:
        raise RefusedName(f"{module}.{name} is refused: {_REASONS[name]} (docs/horovod-script.md)")
    raise AttributeError(f"module {module!r} has no attribute {name!r}")


def refuse_argument(function: str, argument: str, reason: str) -> NoReturn:
    """Raise the error for an argument that a function of Horovod's interface takes and hpcnn does not."""
    raise UsageError(f"{function}: {argument} is refused: {reason} (docs/horovod-script.md)")


def all_ranks_only(function: str, argument: str) -> NoReturn:
    """Raise the error for an argument that lets a rank have weights of its own."""
    refuse_argument(function, argument, _SETS)
