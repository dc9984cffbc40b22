"""A trace: what happened on some threads, in the format that chrome://tracing and Perfetto open.

The format is Chrome's "Trace Event Format": complete events with begin and duration in microseconds. Time 0 of one
rank's trace is the moment at which all ranks left a barrier just before its steps; ``origin_ns`` is that moment by the
rank's wall clock. Must not know TensorFlow.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from hpcnn.rundir.layout import SCHEMA_VERSION
from hpcnn.util.errors import RunError
from hpcnn.util.files import write_bytes

OPERATION, KERNEL, COMMUNICATION = "operation", "kernel", "communication"
RUNTIME, STEPS = "runtime", "steps"


class Event(NamedTuple):
    """Something that took a while: begin and duration in microseconds, on one track.

    kind: OPERATION (of TensorFlow's graph, on the processor), KERNEL (on a device), COMMUNICATION (Horovod's), RUNTIME
    (what TensorFlow does around operations) or STEPS. type: of the operation, without the name of this one.
    """

    track: str
    kind: str
    type: str
    name: str
    begin: float
    duration: float

    def shifted(self, microseconds: float) -> Event:
        """Return the event so much later."""
        return self._replace(begin=self.begin + microseconds)


@dataclass(frozen=True)
class Trace:
    """The events of one rank, and ``facts``: rank, host, strategy, epoch, first_step, steps, seconds, origin_ns."""

    facts: dict[str, Any]
    events: list[Event]

    @property
    def rank(self) -> int:
        """Number of the rank."""
        return int(self.facts["rank"])


def write(file: Path, traces: Sequence[Trace]) -> None:
    """Write the traces of some ranks as one file, gzipped, whole; a rank is a process with its tracks as threads."""
    events: list[dict[str, Any]] = []
    for trace in traces:
        tracks = {name: number for number, name in enumerate(dict.fromkeys(event.track for event in trace.events))}
        events.append(_named("process_name", trace.rank, 0, name=f"rank {trace.rank} on {trace.facts['host']}"))
        events.append(_named("process_sort_index", trace.rank, 0, sort_index=trace.rank))
        for name, number in tracks.items():
            events.append(_named("thread_name", trace.rank, number, name=name))
            events.append(_named("thread_sort_index", trace.rank, number, sort_index=number))
        events += (_as_json(event, trace.rank, tracks[event.track]) for event in trace.events)
    ranks = {"schema": SCHEMA_VERSION, "ranks": [trace.facts for trace in traces]}
    content = {"displayTimeUnit": "ms", "otherData": ranks, "traceEvents": events}
    # without a time in the header: the same trace gives the same bytes
    write_bytes(file, gzip.compress(json.dumps(content).encode(), mtime=0), durable=False)


def read(file: Path) -> Trace:
    """Return the trace of one rank. Raises RunError for a file that is none."""
    try:
        content = json.loads(gzip.decompress(file.read_bytes()))
        (facts,) = content["otherData"]["ranks"]
        tracks: dict[int, str] = {}
        events = []
        for entry in content["traceEvents"]:
            if entry["ph"] == "M" and entry["name"] == "thread_name":
                tracks[entry["tid"]] = entry["args"]["name"]
            elif entry["ph"] == "X":
                kind, type = entry["cat"], entry["name"]
                name = entry["args"]["name"]
                events.append(Event(tracks[entry["tid"]], kind, type, name, entry["ts"], entry["dur"]))
    except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{str(file)!r} is no trace of a rank ({error})") from error
    return Trace(facts, events)


def on_one_clock(traces: Sequence[Trace]) -> list[Trace]:
    """Return the traces of several ranks on the clock of the first one.

    Ranks of its host have the same clock. Clocks of other hosts may differ by more than a step takes, so their ranks
    are taken to have left the barrier at the same moment; they did so within the time of a few messages.
    """
    first = traces[0]
    return [Trace(t.facts, [event.shifted(_later(t, first)) for event in t.events]) for t in traces]


def _later(trace: Trace, first: Trace) -> float:
    if trace.facts["host"] != first.facts["host"]:
        return 0.0
    return float(trace.facts["origin_ns"] - first.facts["origin_ns"]) / 1e3


def of_horovod(text: str, origin_ns: int) -> list[Event]:
    """Return the events of Horovod's timeline, each tensor a track, with times from ``origin_ns`` (wall clock) on.

    Horovod begins and ends phases within phases, a tensor a "process", and writes the wall clock of its time 0 into
    the first entry. A tensor that was under way at the end of the recording is left out; so is everything where Horovod
    did not come to the end of its list.
    """
    try:
        entries: Iterable[dict[str, Any]] = json.loads(text)
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


def _as_json(event: Event, process: int, thread: int) -> dict[str, Any]:
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


def _named(what: str, process: int, thread: int, **facts: Any) -> dict[str, Any]:
    return {"ph": "M", "pid": process, "tid": thread, "name": what, "args": facts}
