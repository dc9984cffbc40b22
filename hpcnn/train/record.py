"""Writes the record of a running training into its run directory: each rank, or each node, its epochs, rank 0 the rest.

Up to ``FEW_RANKS`` ranks have an epoch file each. Of more, the first rank of a node writes those of all ranks there, so
a run's files grow with its nodes. An epoch is on disk as soon as it is over, whichever rank dies in the next.

Used by hpcnn's own loop and by the callback for a user's ``model.fit`` alike. Uses the strategy protocol and the run
directory; must not import Keras.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hpcnn.parallel.base import Strategy
from hpcnn.rundir.events import EventLog
from hpcnn.rundir.layout import FEW_RANKS, SCHEMA_VERSION, RunDir
from hpcnn.rundir.owner import check_kept
from hpcnn.train.agreement import on_rank_0
from hpcnn.train.state import Position
from hpcnn.train.usage import Usage
from hpcnn.util.files import LineWriter, read_json, read_lines, write_json
from hpcnn.util.host import facts_by_rank, facts_of_node, host_facts, job_facts, process_seconds
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
        self._usage = Usage(first_of_node=strategy.local_rank == 0)
        self._of_node = strategy.processes > FEW_RANKS
        own = self._epoch_file()
        if go_on:
            written = self._epoch_files()
            on_rank_0(strategy, lambda: self.run.prepare_resume(go_on.epoch, written, own_program=own_program))
            if own:
                self.run.forget_epochs(own, go_on.epoch)
        else:
            on_rank_0(strategy, lambda: self._begin(resume=resume, own_program=own_program))
        # nobody has written before rank 0 had cleared what an earlier attempt left
        self._epochs = LineWriter(own) if own else None
        self._events = EventLog(self.run) if strategy.is_chief else None
        self.event("init_start", process_seconds())
        if go_on:
            self.event("resumed", go_on.epoch, step=go_on.step)

    def _begin(self, *, resume: bool, own_program: bool) -> None:
        self.run.create(resume=resume)
        self.run.clear_attempt(own_program=own_program)

    def _epoch_file(self) -> Path | None:
        """Return the file to which this rank writes, None where another rank of its node does."""
        if not self._of_node:
            return self.run.epochs(self._strategy.rank)
        is_first = self._strategy.collect_on_node(None) is not None
        return self.run.epochs_of_node(self._strategy.node) if is_first else None

    def _epoch_files(self) -> set[Path]:
        """Return the files to which the ranks of this attempt write."""
        if not self._of_node:
            return {self.run.epochs(rank) for rank in range(self._strategy.processes)}
        return {self.run.epochs_of_node(node) for node in range(self._strategy.nodes)}

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
        """Write ``provenance.json`` with every rank's host facts; return them on rank 0. All ranks must call it.

        What the ranks of a node have in common is sent once, and where a rank has no file of its own, stored once.
        """
        own = {**host_facts(self._strategy.rank, tuple(self._strategy.devices)), "device": device}
        own |= {"gpus": self._usage.gpus} if self._usage.gpus else {}
        nodes = self._strategy.collect_by_node(own, facts_of_node)
        if nodes is None:
            return []
        ranks = facts_by_rank(nodes)
        job = job_facts()
        job["versions"]["mpi"] = self._strategy.mpi_version
        record = {"schema": SCHEMA_VERSION, "attempt": self._attempt, **job}
        record |= {"hosts": nodes if self._of_node else ranks, "world_size": self._strategy.size}
        code = {name: code_digest(name) for name in own_code(facts.get("train") or {})}
        write_json(self.run.provenance, sealed({**record, **facts, "code": code}), folders=False)
        return ranks

    def epoch(self, record: Mapping[str, Json]) -> None:
        """Append one epoch of this rank. All ranks must call it."""
        own = {"rank": self._strategy.rank, **record}
        if usage := self._usage.since_last():
            own["usage"] = usage
        lines = self._strategy.collect_on_node(own) if self._of_node else [own]
        if self._epochs and lines:
            self._epochs.write_all(lines)

    def last_validation(self) -> dict[str, float] | None:
        """Return what this rank recorded last of its epochs' validations."""
        of_node = self._of_node and self.run.epochs_of_node(self._strategy.node)
        lines = list(read_lines(of_node or self.run.epochs(self._strategy.rank)))
        own = [line for line in lines if line.get("rank") == self._strategy.rank]
        return own[-1].get("validation") if own else None

    def finish(self, status: str, **facts: Any) -> None:
        """Close the files; rank 0 writes ``result.json``, the last file of a run.

        Must not wait for the other ranks, which may have left by ``sys.exit``. Their epochs are on disk all the same:
        after the last line of a training its ranks meet once more.
        """
        self._usage.close()
        if self._epochs:
            self._epochs.close()
        self.event("run_stop", status)
        if self._events is not None:
            self._events.close()
        if self._strategy.is_chief:
            check_kept(self.run.path)
            self.run.write_result(status, seconds_total=self.elapsed, **facts)


def _attempt_of(run: RunDir) -> str:
    """Return the name of the attempt that goes on; a new one where an earlier version of hpcnn began it."""
    name = (read_json(run.provenance) or {}).get("attempt")
    return name if isinstance(name, str) else secrets.token_hex(8)
