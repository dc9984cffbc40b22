"""Writes the record of a running training into its run directory: each rank its epochs, rank 0 the rest.

Used by hpcnn's own loop and by the callback for a user's ``model.fit`` alike. Uses the strategy protocol and the run
directory; must not import Keras.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Mapping
from typing import Any

from hpcnn.parallel.base import Strategy
from hpcnn.rundir.events import EventLog
from hpcnn.rundir.layout import SCHEMA_VERSION, RunDir
from hpcnn.train.state import Position
from hpcnn.util.files import LineWriter, read_json, read_lines, write_json
from hpcnn.util.host import host_facts, job_facts, process_seconds
from hpcnn.util.seal import sealed
from hpcnn.util.types import Json
from hpcnn.util.user_code import code_digest, own_code


class Record:
    """The files one rank writes while it trains."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        strategy: Strategy,
        *,
        resume: bool = False,
        go_on: Position | None = None,
        own_program: bool = False,
    ) -> None:
        """Open the files anew, or (``go_on``) continue those of an earlier attempt at that position.

        resume: the directory may hold an attempt that left nothing to continue. own_program: a user's script trains.
        """
        self.run = RunDir(path)
        self._strategy = strategy
        self._attempt = _attempt_of(self.run) if go_on else secrets.token_hex(8)
        self._started = time.monotonic() - (go_on.elapsed if go_on else 0.0)
        if go_on:
            if strategy.is_chief:
                self.run.tidy()
            strategy.barrier()  # all ranks have read what is there
            self.run.prepare_resume(go_on.epoch, strategy.rank, own_program=own_program)
        else:
            # on every rank: a finished run is refused by all of them, or the others would wait
            self.run.create(resume=resume)
            strategy.barrier()
            if strategy.is_chief:
                self.run.clear_attempt(own_program=own_program)
        strategy.barrier()  # nobody writes before rank 0 has cleared what an earlier attempt left
        self._epochs = LineWriter(self.run.epochs(strategy.rank))
        self._events = EventLog(self.run) if strategy.is_chief else None
        self.event("init_start", process_seconds())
        if go_on:
            self.event("resumed", go_on.epoch, step=go_on.step)

    @property
    def elapsed(self) -> float:
        """Seconds of all attempts so far, without the gaps between them."""
        return time.monotonic() - self._started

    def event(self, key: str, value: Any = None, **metadata: Any) -> None:
        """Write an event (rank 0 only)."""
        if self._events is not None:
            self._events.write(key, value, **metadata)

    def spec(self, spec: Mapping[str, Json]) -> None:
        """Write ``spec.json`` unless the submitting side already has (rank 0 only).

        In the directory of another job, or of an earlier training, what is there is not this training's.
        """
        submitted = os.environ.get("HPCNN_RUN_DIR") and RunDir(os.environ["HPCNN_RUN_DIR"]).path == self.run.path
        if self._strategy.is_chief and not (submitted and self.run.spec.exists()):
            write_json(self.run.spec, sealed({"schema": SCHEMA_VERSION, **spec}), folders=False)

    def provenance(self, device: str | None, **facts: Any) -> list[dict[str, Json]]:
        """Collect every rank's host facts, write ``provenance.json``, return the facts. All ranks must call it."""
        own = {**host_facts(self._strategy.rank, tuple(self._strategy.devices)), "device": device}
        hosts = self._strategy.gather_facts(own)
        if self._strategy.is_chief:
            job = job_facts()
            job["versions"]["mpi"] = self._strategy.mpi_version
            record = {"schema": SCHEMA_VERSION, "attempt": self._attempt, **job, "hosts": hosts}
            record["world_size"] = self._strategy.size
            code = {name: code_digest(name) for name in own_code(facts.get("train") or {})}
            write_json(self.run.provenance, sealed({**record, **facts, "code": code}), folders=False)
        return hosts

    def epoch(self, record: Mapping[str, Json]) -> None:
        """Append one epoch of this rank."""
        self._epochs.write({"rank": self._strategy.rank, **record})

    def last_validation(self) -> dict[str, float] | None:
        """Return what this rank recorded last of its epochs' validations."""
        lines = list(read_lines(self.run.epochs(self._strategy.rank)))
        return lines[-1].get("validation") if lines else None

    def finish(self, status: str, **facts: Any) -> None:
        """Close the files; rank 0 writes ``result.json``, the last file of a run.

        Must not wait for the other ranks, which may have left by ``sys.exit``. Their epochs are on disk all the same:
        after the last line of a training its ranks meet once more.
        """
        self._epochs.close()
        self.event("run_stop", status)
        if self._events is not None:
            self._events.close()
        if self._strategy.is_chief:
            self.run.write_result(status, seconds_total=self.elapsed, **facts)


def _attempt_of(run: RunDir) -> str:
    """Return the name of the attempt that goes on; a new one where an earlier version of hpcnn began it."""
    name = (read_json(run.provenance) or {}).get("attempt")
    return name if isinstance(name, str) else secrets.token_hex(8)
