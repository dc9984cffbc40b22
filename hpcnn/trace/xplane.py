"""Read the files of TensorFlow's profiler (an ``XSpace`` of planes, lines and events) as events of a trace.

A plane is a host or a device, a line a thread or a stream. Times of a line are relative to the start of the profile,
whose wall clock is in a plane of its own (tsl/profiler/protobuf/xplane.proto). Must not import run directories.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from hpcnn.trace.chrome import KERNEL, OPERATION, RUNTIME, Event

if TYPE_CHECKING:
    from tensorflow.tsl.profiler.protobuf.xplane_pb2 import XLine, XPlane, XSpace

_ENVIRONMENT, _START = "Task Environment", "profile_start_time"


def events_in(file: Path, origin_ns: int) -> list[Event]:
    """Return the events in a ``.xplane.pb`` file, with times from ``origin_ns`` (nanoseconds of the wall clock) on.

    Leaves out marks without a duration (of memory, of the thread pools).
    """
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    space = xplane_pb2.XSpace()
    space.ParseFromString(file.read_bytes())
    start = _start_ns(space) - origin_ns
    found = (event for plane in space.planes for line in plane.lines for event in _events_of(plane, line, start))
    return sorted(found, key=lambda event: (event.track != "python", event.track, event.begin))


def _start_ns(space: XSpace) -> int:
    """Return the wall clock at the start of the profile, in nanoseconds."""
    for plane in space.planes:
        if plane.name == _ENVIRONMENT:
            for stat in plane.stats:
                if plane.stat_metadata[stat.metadata_id].name == _START:
                    return int(stat.uint64_value or stat.int64_value)
    return 0  # times are those of the wall clock already


def _events_of(plane: XPlane, line: XLine, start_ns: int) -> Iterator[Event]:
    """Yield the events of one line that have a duration."""
    own = line.display_name or line.name
    on_host = plane.name.startswith("/host:")
    track = own if on_host else f"{plane.name.removeprefix('/device:')} {own}"
    begin_us = (start_ns + line.timestamp_ns) / 1e3
    for event in line.events:
        if event.duration_ps:
            facts = plane.event_metadata[event.metadata_id]
            name, _, type_in_name = facts.name.rpartition(":")
            # an operation of the graph is NAME:TYPE; C++ names have two colons
            is_operation = bool(name) and not name.endswith(":") and " " not in facts.name
            kind = (OPERATION if is_operation else RUNTIME) if on_host else KERNEL
            type = type_in_name if is_operation else facts.display_name or facts.name
            yield Event(track, kind, type, facts.name, begin_us + event.offset_ps / 1e6, event.duration_ps / 1e6)
