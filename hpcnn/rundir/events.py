"""Write rank 0's log of events, ``events.jsonl``. Must not import the room ``train``."""

from __future__ import annotations

import time

from hpcnn.rundir.layout import RunDir, utc_now
from hpcnn.util.files import LineWriter, read_lines
from hpcnn.util.types import Json


class EventLog:
    """Rank 0's ``events.jsonl``: MLPerf-style keys with seconds of a monotonic clock.

    ``seconds`` counts from the moment this log was first opened, without the gaps between attempts; ``time`` is the
    wall clock, for people only.
    """

    def __init__(self, run: RunDir) -> None:
        before = list(read_lines(run.events))[-1:] if run.events.exists() else []
        earlier = float(before[0].get("seconds") or 0.0) if before else 0.0
        self._start = time.monotonic() - earlier
        self._lines = LineWriter(run.events)

    def write(self, key: str, value: Json = None, **metadata: Json) -> float:
        """Write one event and return its time in seconds since the log was opened."""
        seconds = time.monotonic() - self._start
        self._lines.write(
            {
                "key": key,
                "seconds": round(seconds, 6),
                "time": utc_now(),
                "value": value,
                "metadata": metadata,
            }
        )
        return seconds

    def close(self) -> None:
        """Close the file."""
        self._lines.close()
