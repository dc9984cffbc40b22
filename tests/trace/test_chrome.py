"""Traces: self times, the common clock, and what profilers write, as events."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from hpcnn.trace.chrome import (
    COMMUNICATION,
    KERNEL,
    OPERATION,
    RUNTIME,
    Event,
    Trace,
    align_clocks,
    horovod_events,
    read,
    write,
)
from hpcnn.trace.operations import self_times, table
from hpcnn.util.errors import RunError


def event(name: str, begin: float, duration: float, track: str = "a", kind: str = OPERATION) -> Event:
    return Event(track, kind, name, name, begin, duration)


def trace(rank: int, events: list[Event], host: str = "c1", origin_ns: int = 0, steps: int = 2) -> Trace:
    seconds = {f"seconds{part}": 1.0 for part in ("", "_input", "_compute", "_communication")}
    facts = {"rank": rank, "host": host, "origin_ns": origin_ns, "steps": steps, "first_step": 1, "epoch": 1}
    return Trace({**facts, "strategy": "serial", **seconds}, events)


def test_self_time_is_without_what_runs_inside() -> None:
    events = [
        event("outer", 0, 10),
        event("first", 0, 3),
        event("second", 4, 5),
        event("inner", 5, 2),
        event("after", 10, 1),  # begins where the outer one ends: not inside it
        event("elsewhere", 1, 4, track="b"),
    ]
    found = {one.name: own for one, own in self_times(events)}
    assert found == {"outer": 2, "first": 3, "second": 3, "inner": 2, "after": 1, "elsewhere": 4}


def test_the_table_adds_up_ranks_and_divides_by_the_steps_of_those_that_recorded() -> None:
    ranks = [
        trace(0, [event("Mul", 0, 4e6), event("SUM", 0, 6e6, "h", COMMUNICATION), event("wait", 0, 9e6, "p", RUNTIME)]),
        trace(1, [event("Mul", 0, 8e6), event("Add", 9e6, 4e6)]),
    ]
    rows = [tuple(row.values()) for row in table(ranks)]
    assert rows == [
        (OPERATION, "Mul", 2, 12.0, 0.75, 3.0),
        (OPERATION, "Add", 1, 4.0, 0.25, 1.0),
        (COMMUNICATION, "SUM", 1, 6.0, 1.0, 3.0),
    ]


def test_ranks_of_a_host_share_its_clock_and_other_hosts_meet_at_the_barrier() -> None:
    own = [event("x", 5.0, 1.0)]
    traces = [trace(0, own, "c1", 1_000_000), trace(1, own, "c1", 1_030_000), trace(2, own, "c2", 99_000_000)]
    assert [one.events[0].begin for one in align_clocks(traces)] == [5.0, 35.0, 5.0]


HOROVOD = """[
{"name": "process_name", "ph": "M", "pid": 0, "args": {"start_time_since_epoch_in_micros":1000000}},
{"name": "process_name", "ph": "M", "pid": 1, "args": {"name": "gradient.0"}},
{"ph": "B", "name": "ALLREDUCE", "ts": 500, "pid": 1},{"ph": "B", "name": "MPI_ALLREDUCE", "ts": 510, "pid": 1},
{"ph": "E", "ts": 540, "pid": 1},{"ph": "E", "ts": 550, "pid": 1, "args": {"dtype": "float32", "shape": "[8]"}},
{"ph": "B", "name": "ALLREDUCE", "ts": 600, "pid": 1}]"""


def test_horovods_phases_are_events_from_the_same_moment_on() -> None:
    found = horovod_events(HOROVOD, origin_ns=1_000_400_000)  # 400 us after its time 0
    assert [(one.type, one.begin, one.duration) for one in found] == [
        ("MPI_ALLREDUCE", 110, 30),
        ("ALLREDUCE", 100, 50),
    ]
    assert {one.track for one in found} == {"Horovod: gradient.0"}
    assert horovod_events(HOROVOD[:-9], origin_ns=0) == []  # cut off


def test_a_trace_is_read_as_it_was_written_and_is_what_chrome_opens(tmp_path: Path) -> None:
    file = tmp_path / "trace.json.gz"
    events = [event("Mul", 0.0, 4.0), event("Add", 5.5, 1.25, "b", RUNTIME)]
    write(file, [trace(3, events)])
    assert read(file) == trace(3, events)
    entries = json.loads(gzip.decompress(file.read_bytes()))["traceEvents"]
    slices = [entry for entry in entries if entry["ph"] == "X"]
    assert [(s["pid"], s["tid"], s["ts"], s["dur"]) for s in slices] == [(3, 0, 0.0, 4.0), (3, 1, 5.5, 1.25)]
    names = {entry["args"].get("name") for entry in entries if entry["ph"] == "M"}
    assert {"rank 3 on c1", "a", "b"} <= names


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"{}", gzip.compress(b"[]"), gzip.compress(b'{"otherData": {"ranks": []}}')),
        gzip.compress(b'{"otherData": {"ranks": [{"rank": 0, "host": 1}]}, "traceEvents": []}'),
        gzip.compress(b"[" * 100_000),
        gzip.compress(bytes(range(256)))[:20] + b"\xff" * 40,  # zlib's own error
    ],
    ids=["empty", "not compressed", "not a trace", "no rank", "no facts", "deep", "damaged"],
)
def test_a_damaged_trace_is_named(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "trace.rank00000.json.gz"
    file.write_bytes(content)
    with pytest.raises(RunError, match=r"trace.rank00000.json.gz' is no trace of a rank"):
        read(file)


def test_a_trace_that_unpacks_to_more_than_any_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hpcnn.trace.chrome._MOST_BYTES", 1 << 20)
    file = tmp_path / "trace.rank00000.json.gz"
    file.write_bytes(gzip.compress(bytes(2 << 20)))
    with pytest.raises(RunError, match="it holds more than"):
        read(file)


def test_events_of_tensorflows_profiler_have_their_operation_track_and_time(tmp_path: Path) -> None:
    pytest.importorskip("tensorflow")
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    from hpcnn.trace.xplane import events_in

    space = xplane_pb2.XSpace()
    environment = space.planes.add(name="Task Environment")
    environment.stat_metadata[1].name = "profile_start_time"
    environment.stats.add(metadata_id=1, uint64_value=2_000_000)
    names = ("while/body/MatMul:MatMul", "ThreadpoolListener::Record", "ExecutorState::Process", "volta_gemm")
    for plane_name, line_name in (("/host:CPU", "worker"), ("/device:GPU:0", "stream 7")):
        plane = space.planes.add(name=plane_name)
        for number, name in enumerate(names, 1):
            plane.event_metadata[number].name = name
        line = plane.lines.add(name=line_name, timestamp_ns=500_000)
        durations = (0, 3_000_000, 0, 4_000_000) if "host" in plane_name else (0, 0, 0, 0, 5_000_000)
        for number, duration in enumerate(durations):
            if number:
                line.events.add(metadata_id=number, offset_ps=1_000_000, duration_ps=duration)
    file = tmp_path / "host.xplane.pb"
    file.write_bytes(space.SerializeToString())
    # the profile began 1 ms after the origin, the line 0.5 ms later, the events 1 us after that
    assert events_in(file, origin_ns=1_000_000) == [
        Event("GPU:0 stream 7", KERNEL, "volta_gemm", "volta_gemm", 1501.0, 5.0),
        Event("worker", OPERATION, "MatMul", "while/body/MatMul:MatMul", 1501.0, 3.0),
        Event("worker", RUNTIME, "ExecutorState::Process", "ExecutorState::Process", 1501.0, 4.0),
    ]
