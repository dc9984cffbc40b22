"""``--cache local-disk``: each node copies the samples to its own disk once, decoded, and its ranks read them there."""

from __future__ import annotations

import atexit
import hashlib
import os
import shutil
import tempfile
import time
from pathlib import Path

from hpcnn.data.dataset import DataSet
from hpcnn.data.stream.convert import convert
from hpcnn.data.stream.on_node import Part
from hpcnn.data.stream.opened import in_place_of, part_of
from hpcnn.data.stream.streamed import StreamedSet
from hpcnn.parallel.base import Strategy
from hpcnn.util.errors import HpcnnError

_CHUNK = 256


def on_local_disk(data: DataSet, strategy: Strategy, run: Path, part: Part | None = None) -> tuple[DataSet, int, float]:
    """Return the same set as NumPy's files on this node's disk; all ranks call it.

    With it, the training samples that were copied, and the seconds that it took until all nodes had theirs. part: the
    training samples that this node copies; None for all. Test samples are always copied as a whole.
    The files are in a folder of this run's below TMPDIR, and are removed when its first rank on the node ends.
    """
    if not isinstance(data, StreamedSet):
        return data, 0, 0.0
    begin = time.monotonic()
    key = hashlib.sha256(f"{run.absolute()}".encode()).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"hpcnn-{os.getuid()}-{key}-{strategy.node}"
    if strategy.local_rank == 0:
        shutil.rmtree(folder, ignore_errors=True)
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        try:
            folder.mkdir(mode=0o700)  # a new folder: nobody else has put a link there
            convert(data if part is None else part_of(data, part), f"npy:{folder / 'data'}", _CHUNK)
        except OSError as error:
            raise HpcnnError(f"--cache: local-disk: {folder} cannot be written: {error.strerror}") from error
    strategy.barrier()
    copied = data.samples if part is None else len(part)
    return in_place_of(data, f"npy:{folder / 'data'}", part), copied, time.monotonic() - begin
