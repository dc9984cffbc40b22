"""Causes in one part of the epoch that does not scale: one function a cause.

Each returns a finding in words for the evidence of a row, or None. Each threshold is a named number with its reason.
The words state what was measured and what follows from it, and no more.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from hpcnn.analysis.diagnose.finding import (
    MEDIUM,
    Finding,
    bytes_text,
    finding_of,
    is_costly,
    is_inefficient,
    severity_of,
    time_text,
    where_of,
)
from hpcnn.analysis.table_runs import submit_command, training_of
from hpcnn.util.text import counted
from hpcnn.util.user_code import DATA_FORMS
from hpcnn.zoo.catalogue import is_computed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hpcnn.analysis.diagnose.evidence import Evidence
    from hpcnn.util.types import Json

# A message costs mainly latency below alpha * beta bytes: 37 kB for InfiniBand HDR (1.5 us, 25 GB/s), 62 kB for
# 25 Gbit/s Ethernet (20 us). At sixteen times as much, latency is a sixteenth of the cost.
SMALL_MESSAGE, LARGE_MESSAGE = 64 * 1024, 1024 * 1024
# Horovod's default HOROVOD_FUSION_THRESHOLD, in bytes.
FUSION_BUFFER = 128 * 1024 * 1024


def find_input(e: Evidence) -> Finding | None:
    """Find an input-bound row: gathering and converting batches costs more than ideal scaling of it would.

    Waiting for data that is read as it goes is a loss at any size, of a base case too.
    """
    reads = _is_read_as_it_goes(e.path)
    if not is_costly(e, "input"):
        return _waiting_for_data(e) if reads else None
    words = f"Input-bound: {_part(e, 'input', 'gathering and converting batches')} {_without(e, 'input')}"
    if reads:
        return finding_of(e, "input", "input", f"{words} {_of_reading(e.path)}", {}, cache="memory")
    cores = int(e.row["cpus_per_task"] or 1)
    return finding_of(e, "input", "input", words, {}, cpus_per_task=2 * cores)


def _waiting_for_data(e: Evidence) -> Finding | None:
    """Find a row that waits for its data, however well the waiting scales."""
    share = e.parts.get("input", 0.0) / e.seconds
    if share < MEDIUM:
        return None
    words = (
        f"Input-bound: {_part(e, 'input', 'waiting for data')} {time_text(e.seconds - e.parts['input'])} would do "
        f"without it, on {counted(e.row['ranks'], 'rank')} as on more. {_of_reading(e.path)}"
    )
    numbers = {"seconds": e.parts["input"], "share": share}
    command = submit_command(e.path, cache="memory") or "hpcnn doctor"
    return Finding("input", severity_of(share), words, numbers, command, where_of(e), share)


def _is_read_as_it_goes(path: str) -> bool:
    """Return whether a run read its slices from files, or computed them, in every epoch."""
    asked = training_of(path)
    as_it_goes = _form(asked) in DATA_FORMS or is_computed(str(asked.get("data") or ""))
    return as_it_goes and asked.get("cache") in (None, "none")


def _of_reading(path: str) -> str:
    """Return what to do about data that is read as it goes, and where it does not fit into memory."""
    asked = training_of(path)
    form, words = (
        _form(asked),
        "The data is read or computed anew in every epoch; --cache memory keeps it, where it fits.",
    )
    if form in ("images", "tfrecord") or is_computed(str(asked.get("data") or "")):
        words += " Where it does not, hpcnn data convert writes it as npy: or h5:, decoded once."
    elif form in ("h5", "zarr", "parquet") and asked.get("shuffle") in (None, "global"):
        words += " Where it does not, --shuffle block:N, with the N samples of a chunk, reads each chunk once an epoch."
    return words


def _form(asked: Mapping[str, Json]) -> str:
    return str(asked.get("data") or "").partition(":")[0]


def find_communication(e: Evidence) -> Finding | None:
    """Find a row bound by the latency or bandwidth of communication, or by communication of unknown sort."""
    if not is_costly(e, "communication") or e.row["ranks"] < 2:
        return None
    seconds, numbers = e.parts["communication"], dict[str, float]()
    kind, words = "communication", _part(e, "communication", "exposed communication (without waiting)")
    if e.steps:
        numbers |= {"seconds_per_step": seconds / e.steps}
        words += f" That is {time_text(seconds / e.steps)} in each of {counted(round(e.steps), 'step')}."
    if e.bytes and e.steps:
        ranks = int(e.row["ranks"])
        rate = 2 * (ranks - 1) / ranks * e.bytes * e.steps / seconds
        numbers |= {"gradient_bytes": e.bytes, "bytes_per_second": rate}
        words += f" A ring allreduce of the {bytes_text(e.bytes)} of gradients moved {bytes_text(rate)}/s and rank."
    if e.bytes and e.tensors:
        message, messages = e.bytes / e.tensors, math.ceil(e.bytes / FUSION_BUFFER)
        numbers |= {"tensors": e.tensors, "bytes_per_tensor": message, "messages_if_fused": messages}
        tensors = f"{counted(e.tensors, 'tensor')} of {bytes_text(message)} in the mean"
        if message < SMALL_MESSAGE and e.tensors > messages:
            saved = seconds * (1 - messages / e.tensors)
            numbers |= {"seconds_saved_at_most": saved}
            kind, heading = "latency", "Latency-bound"
            words += (
                f" The gradients are {tensors}, so small that a message costs mainly its latency. Fused into "
                f"{counted(messages, 'message')}, at most {time_text(saved)} of that epoch would go."
            )
        elif message >= LARGE_MESSAGE:
            kind, heading = "bandwidth", "Bandwidth-bound"
            words += f" The gradients are {tensors}, so large that latency hardly counts."
        else:
            heading = "Communication"
            words += f" The gradients are {tensors}: latency and bandwidth both count."
    else:
        heading = "Communication"
        words += " Whether latency or bandwidth, cannot be told: the number of gradients is not recorded."
    words += (
        " A larger batch has fewer steps, and so fewer reductions, an epoch; hpcnn bench allreduce says what one costs."
    )
    words = f"{heading}: {words}"
    return finding_of(e, kind, "communication", words, numbers, **_larger_batch(e))


def find_compute(e: Evidence) -> Finding | None:
    """Find a row whose computing takes longer than ideal scaling of the base case's."""
    if not is_costly(e, "compute"):
        return None
    ideal = e.parts["compute"] - e.lost["compute"] * e.seconds
    words = (
        f"Computing slows down: it takes {time_text(e.parts['compute'])} an epoch, where ideal scaling of the base "
        f"case leaves {time_text(ideal)}. {_without(e, 'compute')} "
    )
    numbers = {"seconds_compute": e.parts["compute"], "seconds_compute_ideal": ideal}
    if e.row["kind"] == "strong":
        each, of_base = _batch_per_rank(e.row), _batch_per_rank(e.base)
        if each and of_base:
            words += (
                f"A rank has {each:g} samples a step, in the base case {of_base:g}: small batches use cores badly. "
            )
            numbers |= {"batch_per_rank": each, "batch_per_rank_base": of_base}
    words += "Ranks may also share what they compute with: memory bandwidth, or the two hardware threads of one core."
    change = _larger_batch(e) if e.row["kind"] == "strong" else {}
    return finding_of(e, "compute", "compute", words, numbers, **change)


def find_overhead(e: Evidence) -> Finding | None:
    """Find a row whose other time (the optimizer, and Python between steps) does not shrink with the ranks."""
    if not is_costly(e, "other"):
        return None
    what = "the optimizer, Keras's callbacks and Python between the calls"
    words = f"Overhead of steps: {_part(e, 'other', what)} {_without(e, 'other')}"
    return finding_of(e, "overhead", "other", words, {}, **_larger_batch(e))


def find_unsplit(e: Evidence) -> Finding | None:
    """Find a row of low efficiency whose runs do not record the parts of an epoch."""
    if not is_inefficient(e) or e.lost or e.row["efficiency"] is None:
        return None
    words = (
        f"The efficiency is {e.row['efficiency']:.0%}, and the runs do not record where an epoch's seconds go (a "
        "script's own model.fit does not tell). Train the model with hpcnn's loop to see."
    )
    lost = 1 - float(e.row["efficiency"])
    numbers = {"efficiency": float(e.row["efficiency"])}
    return Finding("unsplit", "low", words, numbers, "hpcnn train --help", where_of(e), lost)


def _part(e: Evidence, part: str, what: str) -> str:
    seconds = e.parts[part]
    return f"{what} takes {time_text(seconds)} of an epoch of {time_text(e.seconds)} ({seconds / e.seconds:.0%})."


def _without(e: Evidence, part: str) -> str:
    efficiency = float(e.row["efficiency"])
    better = efficiency / (1 - e.lost[part])
    return f"Had it scaled ideally, the efficiency would be {better:.0%} instead of {efficiency:.0%}."


def _larger_batch(e: Evidence) -> dict[str, int]:
    batch = e.row.get("batch_size")
    return {"batch_size": 2 * int(batch)} if batch else {}


def _batch_per_rank(row: Mapping[str, Json]) -> float | None:
    return row["batch_size"] / row["ranks"] if row.get("batch_size") else None
