"""Traces of ranks: events on threads, in the format of chrome://tracing and Perfetto.

The format is Chrome's "Trace Event Format": complete events with begin and duration in microseconds. Time 0 of one
rank's trace is the moment at which all ranks left a barrier just before its steps; ``origin_ns`` is that moment by the
rank's wall clock. Must not import TensorFlow.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from hpcnn.rundir.layout import SCHEMA_VERSION
from hpcnn.util.errors import RunError
from hpcnn.util.files import open_regular, write_bytes
from hpcnn.util.types import Json
from hpcnn.util.unreadable import UNREADABLE

# What a trace may unpack to: a small file may hold any number of zeros.
_MOST_BYTES = 1 << 30
OPERATION, KERNEL, COMMUNICATION = "operation", "kernel", "communication"
RUNTIME, STEPS = "runtime", "steps"


class Event(NamedTuple):
    """An event with begin and duration in microseconds, on one track.

    kind: OPERATION (of TensorFlow's graph, on the processor), KERNEL (on a device), COMMUNICATION (Horovod's), RUNTIME
    (TensorFlow's own work around operations) or STEPS. type: of the operation; name: of this one operation.
    """

    track: str
    kind: str
    type: str
    name: str
    begin: float
    duration: float

    def shifted(self, microseconds: float) -> Event:
        """Return the event, moved to a later time."""
        return self._replace(begin=self.begin + microseconds)


@dataclass(frozen=True)
class Trace:
    """The events of one rank, and ``facts``: rank, host, strategy, epoch, first_step, steps, seconds, origin_ns."""

    facts: dict[str, Json]
    events: list[Event]

    @property
    def rank(self) -> int:
        """Return the rank."""
        return int(self.facts["rank"])


def write(file: Path, traces: Sequence[Trace]) -> None:
    """Write the traces of some ranks as one gzipped file, atomically; a rank is a process, its tracks are threads."""
    events: list[dict[str, Json]] = []
    for trace in traces:
        tracks = {name: number for number, name in enumerate(dict.fromkeys(event.track for event in trace.events))}
        events.append(_metadata("process_name", trace.rank, 0, name=f"rank {trace.rank} on {trace.facts['host']}"))
        events.append(_metadata("process_sort_index", trace.rank, 0, sort_index=trace.rank))
        for name, number in tracks.items():
            events.append(_metadata("thread_name", trace.rank, number, name=name))
            events.append(_metadata("thread_sort_index", trace.rank, number, sort_index=number))
        events += (_as_json(event, trace.rank, tracks[event.track]) for event in trace.events)
    ranks = {"schema": SCHEMA_VERSION, "ranks": [trace.facts for trace in traces]}
    content = {"displayTimeUnit": "ms", "otherData": ranks, "traceEvents": events}
    # no time in the gzip header: the same trace gives the same bytes
    write_bytes(file, gzip.compress(json.dumps(content).encode(), mtime=0), durable=False, folders=False)


def read(file: Path) -> Trace:
    """Read the trace of one rank. Raises RunError for any other file."""
    try:
        content = json.loads(_unpacked(file))
        (facts,) = content["otherData"]["ranks"]
        _check_facts(facts)
        tracks: dict[int, str] = {}
        events = []
        for entry in content["traceEvents"]:
            if entry["ph"] == "M" and entry["name"] == "thread_name":
                tracks[entry["tid"]] = entry["args"]["name"]
            elif entry["ph"] == "X":
                kind, type = entry["cat"], entry["name"]
                name, begin, duration = entry["args"]["name"], float(entry["ts"]), float(entry["dur"])
                events.append(Event(tracks[entry["tid"]], str(kind), str(type), str(name), begin, duration))
    except (RecursionError, *UNREADABLE) as error:
        raise RunError(f"{str(file)!r} is no trace of a rank ({error})") from error
    return Trace(facts, events)


def _check_facts(facts: dict[str, Json]) -> None:
    """Raise ValueError unless the facts of a rank are those that tables and the clocks of other ranks need."""
    kinds: dict[str, type | tuple[type, ...]] = {
        **dict.fromkeys(("rank", "epoch", "first_step", "steps", "origin_ns"), int),
        **dict.fromkeys(("host", "strategy"), str),
        **dict.fromkeys((f"seconds{part}" for part in ("", "_input", "_compute", "_communication")), (int, float)),
    }
    for key, kind in kinds.items():
        if not isinstance(facts[key], kind):
            raise ValueError(f"{key} is {facts[key]!r}")
    if not facts["seconds"] > 0:
        raise ValueError("it has no seconds")


def _unpacked(file: Path) -> bytes:
    with open_regular(file) as packed, gzip.GzipFile(fileobj=packed) as opened:
        content = opened.read(_MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        raise ValueError(f"it holds more than {_MOST_BYTES >> 30} GiB")
    return content


def align_clocks(traces: Sequence[Trace]) -> list[Trace]:
    """Return the traces of several ranks with times on the clock of the first rank.

    Ranks of one host share its clock. Clocks of other hosts may differ by more than the duration of a step, so their
    ranks are assumed to have left the barrier at the same moment, which is true within the time of a few messages.
    """
    first = traces[0]
    return [Trace(t.facts, [event.shifted(_offset_us(t, first)) for event in t.events]) for t in traces]


def _offset_us(trace: Trace, first: Trace) -> float:
    if trace.facts["host"] != first.facts["host"]:
        return 0.0
    return float(trace.facts["origin_ns"] - first.facts["origin_ns"]) / 1e3


def horovod_events(text: str, origin_ns: int) -> list[Event]:
    """Parse Horovod's timeline into events, one track per tensor, with times from ``origin_ns`` (wall clock) on.

    Horovod nests phases, writes each tensor as a "process", and puts the wall clock of its time 0 into the first entry.
    Leaves out tensors that were not finished at the end of the recording, and all events of a timeline whose JSON list
    Horovod did not finish.
    """
    try:
        entries: Iterable[dict[str, Json]] = json.loads(text)
    except ValueError:
        return []
    start_us, names, open_phases = 0.0, dict[int, str](), dict[int, list[tuple[str, float]]]()
    events = []
    for entry in entries:
        facts, tensor = entry.get("args", {}), entry.get("pid", 0)
        if "start_time_since_epoch_in_micros" in facts:
            start_us = facts["start_time_since_epoch_in_micros"] - origin_ns / 1e3
        elif entry["ph"] == "M" and entry["name"] == "process_name":
            names[tensor] = facts["name"]
        elif entry["ph"] == "B":
            open_phases.setdefault(tensor, []).append((entry["name"], entry["ts"]))
        elif entry["ph"] == "E" and open_phases.get(tensor):
            phase, begin = open_phases[tensor].pop()
            track = f"Horovod: {names[tensor]}"
            events.append(Event(track, COMMUNICATION, phase, names[tensor], start_us + begin, entry["ts"] - begin))
    return events


def _as_json(event: Event, process: int, thread: int) -> dict[str, Json]:
    return {
        "ph": "X",
        "pid": process,
        "tid": thread,
        "cat": event.kind,
        "name": event.type,
        "ts": round(event.begin, 3),
        "dur": round(event.duration, 3),
        "args": {"name": event.name},
    }


def _metadata(what: str, process: int, thread: int, **facts: Json) -> dict[str, Json]:
    return {"ph": "M", "pid": process, "tid": thread, "name": what, "args": facts}
