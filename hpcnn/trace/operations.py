"""Sum up the self times of operations in recorded steps, by type. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import TypedDict

from hpcnn.trace.chrome import COMMUNICATION, KERNEL, OPERATION, Event, Trace

KINDS = (OPERATION, KERNEL, COMMUNICATION)


class OperationRow(TypedDict):
    """One type of operation.

    kind: one of KINDS. count: on all ranks. seconds: self time, without events inside it on the same track, summed over
    threads. share: of all self time of its kind. seconds_per_step: of one rank, among those that recorded this kind
    (Horovod's timeline is of rank 0 only).
    """

    kind: str
    type: str
    count: int
    seconds: float
    share: float
    seconds_per_step: float


def table(traces: Sequence[Trace]) -> list[OperationRow]:
    """Return one row for each type of operation, by kind, the largest self time of a kind first."""
    counts: dict[tuple[str, str], int] = defaultdict(int)
    seconds: dict[tuple[str, str], float] = defaultdict(float)
    for trace in traces:
        for event, own in self_times(trace.events):
            if event.kind in KINDS:
                counts[event.kind, event.type] += 1
                seconds[event.kind, event.type] += own / 1e6
    steps = {
        kind: sum(trace.facts["steps"] for trace in traces if any(event.kind == kind for event in trace.events))
        for kind in KINDS
    }
    of_kind: dict[str, float] = defaultdict(float)
    for (kind, _), spent in seconds.items():
        of_kind[kind] += spent
    rows: list[OperationRow] = [
        {
            "kind": kind,
            "type": type,
            "count": counts[kind, type],
            "seconds": spent,
            "share": spent / of_kind[kind] if of_kind[kind] else 0.0,
            "seconds_per_step": spent / steps[kind],
        }
        for (kind, type), spent in seconds.items()
    ]
    return sorted(rows, key=lambda row: (KINDS.index(row["kind"]), -row["seconds"], row["type"]))


def self_times(events: Iterable[Event]) -> Iterator[tuple[Event, float]]:
    """Yield each event with its self time in microseconds: its duration less that of the events directly within it."""
    tracks: dict[str, list[Event]] = defaultdict(list)
    for event in events:
        tracks[event.track].append(event)
    for on_track in tracks.values():
        around: list[tuple[Event, list[float]]] = []  # open events, with the durations of their children
        for event in sorted(on_track, key=lambda e: (e.begin, -e.duration)):
            while around and around[-1][0].begin + around[-1][0].duration <= event.begin:
                yield _closed(around.pop())
            if around:
                around[-1][1].append(event.duration)
            around.append((event, []))
        while around:
            yield _closed(around.pop())


def _closed(entry: tuple[Event, list[float]]) -> tuple[Event, float]:
    event, inside = entry
    return event, max(event.duration - sum(inside), 0.0)
