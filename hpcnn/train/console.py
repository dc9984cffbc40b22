"""The lines a training prints for people, as Keras's verbose=2 does, with what HPC people ask first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from hpcnn.parallel.base import Strategy
from hpcnn.specs.train import TrainSpec
from hpcnn.train.state import Position
from hpcnn.util.loss_scaling import unscaled
from hpcnn.util.types import Json, KerasModel, Optimizer


def first_line(
    spec: TrainSpec, strategy: Strategy, model: KerasModel, optimizers: Sequence[Optimizer], samples: int, batch: int
) -> str:
    """Return what is trained on what. optimizers: those that train the model; most models have one."""
    ranks = f"{strategy.size} {'rank' if strategy.size == 1 else 'ranks'}"
    names = " and ".join(unscaled(optimizer).name for optimizer in optimizers)
    mode = "" if strategy.communicates else "; without communication: a measurement of the ceiling, no training"
    return (
        f"{spec.model} ({model.count_params():,} parameters) on {spec.data}, {samples:,} samples, "
        f"global batch size {batch}, {names}, {spec.precision}, {spec.strategy}: {ranks} on "
        f"{strategy.devices[0].strip('/').split(':')[0]}{mode}"
    )


def devices_line(hosts: Sequence[Mapping[str, Json]]) -> str:
    """Return what the ranks compute on: GPUs by name and number, or the CPU with each rank's cores; and where.

    hosts: every rank's facts, as ``provenance.json`` has them.
    """
    if any(host["devices"][0].startswith("/CPU") for host in hosts):
        cores = sorted({len(host["cores_allowed"]) for host in hosts})
        each = (
            f"{'-'.join(map(str, dict.fromkeys((cores[0], cores[-1]))))} {'core' if cores == [1] else 'cores'} a rank"
        )
        text = f"no GPU; {hosts[0]['cpu_model'] or 'CPU'}, {each}"
    else:
        names = Counter(name for host in hosts for name in [host["device"]] * len(host["devices"]))
        text = ", ".join(f"{count} x {name}" for name, count in sorted(names.items()))
    places = list(dict.fromkeys(host["host"] for host in hosts))
    return f"devices: {text}; on {places[0] if len(places) == 1 else f'{len(places)} nodes'}"


def resumed_line(start: Position) -> str:
    """Return where an earlier attempt is continued."""
    return f"going on in epoch {start.epoch} after step {start.step}"


def stopped_line(position: Position, steps: int, reason: str) -> str:
    """Return where and why a training stopped before its end, and how it goes on."""
    where = f"epoch {position.epoch} after step {position.step} of {steps}"
    return f"stopped in {where} ({reason}); its state is kept: --resume goes on there"


def epoch_line(line: Mapping[str, Json], epochs: int) -> str:
    """Return one epoch: seconds, loss and metrics, and the same on the test set."""
    seconds = line["seconds_total"]
    parts = [f"epoch {line['epoch']:>{len(str(epochs))}}/{epochs}", f"{seconds:.2f} s"]
    parts.append(f"{1000 * seconds / max(line['steps'], 1):.2f} ms/step")
    share = line["seconds_communication"] / seconds if seconds else 0.0
    parts.append(f"{share:.0%} communication")
    parts += [] if line["loss"] is None else [f"loss {line['loss']:.4f}"]
    parts += [f"{name} {value:.4f}" for name, value in line["metrics"].items()]
    parts += [f"test {name} {value:.4f}" for name, value in (line["validation"] or {}).items()]
    return "  ".join(parts)


def profile_line(epoch: int | None, run: Path) -> str:
    """Return what came of ``--profile``: the epoch that was recorded, None where none was."""
    if epoch is None:
        return "profile: nothing was recorded, as the training ended before TensorFlow had traced its step"
    return f"profile: steps of epoch {epoch} are recorded, and its time is that of a profile; hpcnn profile {run}"


def ceiling_line(strategy: Strategy) -> str:
    """Return what stands in place of a result after a run without communication."""
    return (
        f"no result: without communication, each of the {strategy.size} replicas trained a network of its own on its "
        "part of the data; the times are the ceiling of what communication leaves"
    )


def last_line(test: Mapping[str, float], samples: int, of: str = "test") -> str:
    """Return the result on the test set, with the number of wrong ones as the lectures give it. of: another set."""
    text = "  ".join(f"{name} {value:.4f}" for name, value in test.items())
    accuracy = test.get("accuracy")
    if accuracy is not None and "mean_iou" not in test:  # of maps it is a share of pixels
        text += f"  ({samples - round(accuracy * samples)} of {samples} wrong)"
    return f"{of}: {text}"
