"""Where a training stands, on disk: enough to go on as if nothing had happened.

``state.npz`` holds every variable (weights, moving averages, random generators, the optimizer's), the epoch and the
step, and what each rank has added up of the epoch under way. The order of the samples needs no place in it: it follows
from seed and epoch (``plan.epoch_order``). Rank 0 alone writes it, whole, and reads it, for all ranks.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from hpcnn.parallel.base import Strategy
from hpcnn.rundir.layout import SCHEMA_VERSION
from hpcnn.specs.shuffle import is_by_node
from hpcnn.train.agreement import on_rank_0
from hpcnn.util.errors import UsageError, bad_value
from hpcnn.util.files import make_folder, write_bytes
from hpcnn.util.types import Array, Json, KerasModel, Optimizer, Variable
from hpcnn.util.unreadable import UNREADABLE

# What may change from one attempt to the next: how long and what is written, not what is computed.
_FREE = (
    "epochs",
    "target_accuracy",
    "evaluate",
    "evaluate_training",
    "cache",
    "tensorboard",
    "profile",
    "checkpoint",
    "checkpoint_best",
)


@dataclass(frozen=True)
class Position:
    """Steps ``step`` of epoch ``epoch`` (from 1) are done.

    partial: what this rank has added up in that epoch: seconds, then its sums, flat. elapsed: seconds of all attempts.
    resumed: whether an attempt begins here, so that the epoch pays for tracing again. bad: the bad samples that were
    met so far (``--skip-bad``), by number, and why: of this rank, and as it is read from a state, of all of them.
    """

    epoch: int = 1
    step: int = 0
    partial: tuple[float, ...] = ()
    elapsed: float = 0.0
    resumed: bool = False
    bad: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class State:
    """A state as it was read: the position of this rank, and the variables' values."""

    position: Position
    variables: list[Array] = field(default_factory=list)

    def restore(self, model: KerasModel) -> None:
        """Give the model and its optimizer the variables' values. Raises UsageError where they are of another model."""
        own = _variables(model)
        if [tuple(v.shape) for v in own] != [value.shape for value in self.variables]:
            raise UsageError("--resume: the state is of another model: its variables have other shapes")
        for variable, value in zip(own, self.variables, strict=True):
            variable.assign(value)


def values_of(model: KerasModel) -> list[Array]:
    """Return copies of what every variable of the model and its optimizer holds now."""
    return [np.array(variable.numpy()) for variable in _variables(model)]


def save(
    file: Path,
    values: Sequence[Array],
    strategy: Strategy,
    position: Position,
    train: Mapping[str, Json],
) -> None:
    """Write the state; all ranks must call it, and it is on disk when it returns.

    values: of every variable, as ``values_of`` returns them; only those of rank 0 are used. train: the complete spec,
    which a later attempt must share.
    """
    partial = strategy.collect(position.partial) if position.partial else [()] * strategy.processes
    nodes = _nodes(strategy, train)
    bad = strategy.collect(position.bad) if train.get("skip_bad") else None
    if strategy.is_chief:
        facts = {
            "schema": SCHEMA_VERSION,
            "train": dict(train),
            "size": strategy.size,
            "epoch": position.epoch,
            "step": position.step,
            "elapsed": position.elapsed,
            **({"nodes": nodes} if nodes else {}),
            "bad": {number: why for of_rank in bad or [] for number, why in of_rank.items()},
        }
        content = io.BytesIO()
        arrays = {f"variable_{number}": value for number, value in enumerate(values)}
        arrays |= {"facts": np.array(json.dumps(facts, default=str)), "partial": np.array(partial, dtype=np.float64)}
        np.savez(content, **arrays)  # type: ignore[arg-type]
        make_folder(file.parent)
        write_bytes(file, content.getvalue(), folders=False)
    strategy.barrier()


def load(file: Path, strategy: Strategy, train: Mapping[str, Json]) -> State | None:
    """Return the state of this rank, or None where there is no file. All ranks must call it: rank 0 reads for all.

    Raises UsageError for a state of another training, naming what differs, or of another number of replicas.
    """
    variables: list[Array] = []
    nodes = _nodes(strategy, train)
    found = on_rank_0(strategy, lambda: _read(file, strategy, train, variables, nodes))
    if found is None:
        return None
    position, partial, count = found
    variables = [strategy.share(variables[number] if variables else None) for number in range(count)]
    return State(replace(position, partial=tuple(partial[strategy.rank].tolist())), variables)


def _read(
    file: Path, strategy: Strategy, train: Mapping[str, Json], variables: list[Array], nodes: list[int] | None
) -> tuple[Position, Array, int] | None:
    """Return the position in a state's file, what each rank has added up, and the number of ``variables``, read too."""
    if not file.exists():
        return None
    try:
        with np.load(file, allow_pickle=False) as content:
            facts = json.loads(str(content["facts"]))
            partial = content["partial"]
            variables += [content[f"variable_{number}"] for number in range(len(content.files) - 2)]
        _check(facts, strategy, train, nodes)
        bad = {int(number): why for number, why in facts.get("bad", {}).items()}
        elapsed = float(facts["elapsed"])
        position = Position(int(facts["epoch"]), int(facts["step"]), elapsed=elapsed, resumed=True, bad=bad)
        if len(partial) != strategy.processes:
            raise ValueError(f"of {len(partial)} processes")
    except (MemoryError, *UNREADABLE) as error:
        raise UsageError(
            f"--resume: {str(file)!r} is no state of a training ({error}); remove it to start anew"
        ) from error
    return position, partial, len(variables)


def _nodes(strategy: Strategy, train: Mapping[str, Json]) -> list[int] | None:
    """Return on rank 0 the node of each rank, where the order of samples follows from it; all ranks must call it."""
    return strategy.collect(strategy.node) if is_by_node(str(train.get("shuffle"))) else None


def _check(facts: Mapping[str, Json], strategy: Strategy, train: Mapping[str, Json], nodes: list[int] | None) -> None:
    if facts["schema"] != SCHEMA_VERSION:
        raise bad_value("--resume", facts["schema"], f"a state of version {SCHEMA_VERSION}")
    wanted = json.loads(json.dumps(dict(train), default=str))
    for key, value in facts["train"].items():
        if not _free(key, train) and wanted.get(key) != value:
            raise bad_value(f"--{key.replace('_', '-')}", wanted.get(key), f"{value!r}, with which the run began")
    if facts["size"] != strategy.size:
        raise bad_value("--resume", strategy.size, f"{facts['size']} replicas, with which the run began")
    if nodes != facts.get("nodes"):
        began = facts.get("nodes") or []
        raise bad_value(
            "--shuffle",
            train.get("shuffle"),
            f"the ranks on the nodes with which the run began, {len(set(began))} of them ({_runs(began)} ranks): each "
            "node has blocks of its own",
        )


def _runs(nodes: Sequence[int]) -> str:
    """Return how many ranks each node has, in the order of the nodes."""
    return ", ".join(str(list(nodes).count(node)) for node in sorted(set(nodes)))


def _free(key: str, train: Mapping[str, Json]) -> bool:
    """Return whether a later attempt may change a field; a cosine's rates depend on how many epochs there are."""
    return key in _FREE and not (key == "epochs" and str(train.get("lr_schedule")).startswith("cosine"))


def optimizers_of(model: KerasModel) -> list[Optimizer]:
    """Return the optimizers that are attributes of a model, or in a list or dictionary that is one.

    ``model.optimizer``, which most models have alone, is the first.
    """
    import keras

    found = [getattr(model, "optimizer", None)]
    for value in vars(model).values():
        inside = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
        found += [value, *inside]
    return list({id(one): one for one in found if isinstance(one, keras.optimizers.Optimizer)}.values())


def _variables(model: KerasModel) -> list[Variable]:
    """Return every variable that decides what comes next. Keras's metrics are not among them: hpcnn sums its own."""
    metrics = {id(v) for metric in model.metrics for v in metric.variables}
    of_optimizers = [v for optimizer in optimizers_of(model) for v in optimizer.variables]
    return [v for v in [*model.variables, *of_optimizers] if id(v) not in metrics]
