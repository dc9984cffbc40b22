"""Write event files for TensorBoard's HParams tab. Must not import TensorFlow.

One session per trial, in ``tensorboard/`` of its run directory: the parameters, and accuracy and loss of every epoch.
The experiment, in the search's own folder, lists the parameters and metrics, the columns of the tab.
"""

from __future__ import annotations

import secrets
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from hpcnn.rundir.layout import RunDir
from hpcnn.search.epochs import Epoch
from hpcnn.search.space import Dimension, Values, short
from hpcnn.search.spec import Search
from hpcnn.util.files import open_own
from hpcnn.util.types import Json

if TYPE_CHECKING:
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.hparams.summary_v2 import Discrete, IntInterval, RealInterval

METRICS = ("accuracy", "loss")


def write_experiment(folder: Path, search: Search) -> None:
    """Write the parameters and metrics of a search, once."""
    from tensorboard.plugins.hparams import summary_v2 as hp

    if next(folder.glob("events.out.tfevents*"), None) is not None:
        return
    parameters = [hp.HParam(short(key), _domain(values, hp)) for key, values in search.space.items()]
    metrics = [hp.Metric(tag, display_name=tag) for tag in METRICS]
    _write(folder, [(0, hp.hparams_config_pb(parameters, metrics, time.time()))])


def write_session(run: RunDir, search: Search, point: Mapping[str, Json], epochs: list[Epoch]) -> None:
    """Write the parameters of a trial that has ended, and its accuracy and loss after each epoch."""
    from tensorboard.plugins.hparams import summary_v2 as hp
    from tensorboard.plugins.scalar.summary_v2 import scalar_pb

    name = f"{search.name}/{run.path.name}"
    start = hp.hparams_pb({short(key): value for key, value in point.items()}, trial_id=name)
    scalars = [
        (epoch.number, scalar_pb(tag, getattr(epoch, tag)))
        for epoch in epochs
        for tag in METRICS
        if getattr(epoch, tag) is not None
    ]
    _write(run.tensorboard, [(0, start), *scalars, (0, _session_end())])


def _session_end() -> Summary:
    """Return the end of a session, as TensorBoard's ``session_end_pb`` does, whose module imports TensorFlow."""
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.hparams import metadata
    from tensorboard.plugins.hparams.api_pb2 import STATUS_SUCCESS
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionEndInfo

    info = SessionEndInfo(status=STATUS_SUCCESS, end_time_secs=time.time())
    about = metadata.create_summary_metadata(HParamsPluginData(session_end_info=info))
    summary = Summary()
    summary.value.add(tag=metadata.SESSION_END_INFO_TAG, metadata=about, tensor=metadata.NULL_TENSOR)
    return summary


def _domain(values: Dimension, hp: ModuleType) -> IntInterval | RealInterval | Discrete | None:
    """Return the domain of a parameter for the tab's filters; None for a list of mixed types, which they lack."""
    if not isinstance(values, Values):
        return (
            hp.IntInterval(int(values.low), int(values.high))
            if values.whole
            else hp.RealInterval(float(values.low), float(values.high))
        )
    return hp.Discrete(values.items) if len({type(item) for item in values.items}) == 1 else None


def _write(folder: Path, summaries: list[tuple[int, Summary]]) -> None:
    """Write (step, summary) pairs as one event file, under a name that TensorBoard finds."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.summary.writer.record_writer import RecordWriter

    folder.mkdir(parents=True, exist_ok=True)
    now = time.time()
    # TensorBoard reads files in the order of their names: seconds first, as in TensorFlow's own writer
    name = f"events.out.tfevents.{int(now):010d}.{socket.gethostname()}.{secrets.token_hex(8)}.hparams.v2"
    with open_own(folder / name, "xb") as opened:
        writer = RecordWriter(opened)
        writer.write(Event(wall_time=now, file_version="brain.Event:2").SerializeToString())
        for step, summary in summaries:
            event = Event(wall_time=now, step=step)
            event.summary.ParseFromString(summary.SerializeToString())
            writer.write(event.SerializeToString())
