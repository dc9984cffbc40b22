"""``--profile`` of two ranks: what each records, on one clock."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from hpcnn.rundir.layout import RunDir
from hpcnn.trace.chrome import COMMUNICATION, OPERATION, read
from tests.train.cases import PROFILED
from tests.train.launching import Command, Submit, options_of

pytest.importorskip("tensorflow")


@pytest.mark.mpi
@pytest.mark.slow
def test_two_horovod_ranks_are_on_one_clock_with_horovods_timeline(
    submit: Submit, hpcnn: Command, tmp_path: Path
) -> None:
    run = RunDir(tmp_path / "run")
    ended = submit(run.path, 2, *options_of(replace(PROFILED, strategy="horovod")))
    assert ended.returncode == 0, ended.stdout + ended.stderr
    traces = [read(file) for _, file in run.traces()]
    assert [trace.rank for trace in traces] == [0, 1]
    first, second = traces
    # both left the barrier at about the same moment, by the clock that they share
    assert abs(first.facts["origin_ns"] - second.facts["origin_ns"]) < 1e9
    # each of the 6 gradients was agreed on and summed in each of the 3 steps
    rounds = [event for event in first.events if event.kind == COMMUNICATION and event.type == "ALLREDUCE"]
    gradients = {event.name for event in rounds if "gradient" in event.name}
    assert len(gradients) == 6
    assert all(sum(event.name == gradient for event in rounds) == 3 for gradient in gradients)
    end = 1e6 * first.facts["seconds"]
    assert all(event.begin > 0 and event.begin + event.duration < end for event in rounds)
    assert not any(event.kind == COMMUNICATION for event in second.events)
    assert len(list(run.tensorboard.rglob("rank0000?.xplane.pb"))) == 2

    shown = hpcnn("profile", run.path, "--format", "json", "--top", 3)
    record = json.loads(shown.stdout)
    assert [row["kind"] for row in record["operations"]] == [OPERATION] * 3 + [COMMUNICATION] * 3
    assert run.all_traces.exists()
