"""A cache of the runs that a report read: run directories seldom change, and reading them takes the longest.

One file a set of directories, below ``$HPCNN_CACHE`` or the user's cache folder. A run is taken from it only if no
``.json`` or ``.jsonl`` file of the run has changed since, by name, inode, size and times, and if the code that reads
runs is the same. A user may delete the file at any time. It is written whole, so several processes may read and write
it at once; a checksum covers every part of it, and hpcnn ignores a damaged file. It holds data alone, no pickles.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import hpcnn.analysis.columns
import hpcnn.rundir.layout
import hpcnn.rundir.read
import hpcnn.rundir.usage
from hpcnn.analysis.collect import Runs, read_runs
from hpcnn.analysis.columns import Columns, Typed
from hpcnn.util.cache_dir import cache_folder, check_private, make_private
from hpcnn.util.errors import HpcnnError
from hpcnn.util.files import open_own, replacing
from hpcnn.util.unreadable import UNREADABLE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hpcnn.util.types import Json

# To read fewer rows than these takes a tenth of a second.
_LEAST_ROWS = 10_000
# A file that nobody has used for so long is removed.
_KEPT_SECONDS = 30 * 86400.0
# A file that changed so recently may change again within the resolution of its time, and look the same.
_SETTLED_SECONDS = 2.0


def read_cached(dirs: Sequence[Path], paths: Sequence[Path], types: Mapping[str, str]) -> Runs:
    """Return the same as ``read_runs``, with the unchanged runs below ``dirs`` from the cache."""
    file = cache_folder() / "reports" / f"{_digest(sorted({str(directory) for directory in dirs}))}.npz"
    prints = {str(path): _fingerprint(path) for path in paths}
    kept, kept_prints = _load(file, types) or (read_runs([], types), [])
    same = [n for n, path in enumerate(kept.paths) if kept_prints[n] is not None and kept_prints[n] == prints.get(path)]
    if len(same) == len(kept.paths) == len(paths):
        return kept
    known = {kept.paths[n] for n in same}
    fresh = read_runs([path for path in paths if str(path) not in known], types)
    runs = kept.take(same).merged(fresh, paths)
    if fresh.epochs.rows >= _LEAST_ROWS:
        with contextlib.suppress(OSError, HpcnnError):  # a full or read-only disk costs time, nothing else
            _save(file, runs, [prints[path] for path in runs.paths], types)
    return runs


def _fingerprint(path: Path) -> str | None:
    """Return a text that changes with every file that a report reads in ``path``.

    None for a directory that cannot be listed, and for files that changed a moment ago.
    """
    facts, newest = [], 0.0
    try:
        with os.scandir(path) as entries:
            for entry in entries:
                if entry.name.endswith((".json", ".jsonl")):
                    s = entry.stat()
                    facts.append((entry.name, s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns))
                    newest = max(newest, s.st_mtime)
    except OSError:
        return None
    return None if newest > time.time() - _SETTLED_SECONDS else _digest(sorted(facts))


def _digest(facts: Json) -> str:
    text = json.dumps(facts, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


@cache
def _code_fingerprint() -> str:
    """Return a text that changes with the code that reads runs."""
    modules = (hpcnn.rundir.read, hpcnn.rundir.usage, hpcnn.analysis.columns, hpcnn.rundir.layout)
    return _digest([Path(str(module.__file__)).read_text(encoding="utf-8") for module in modules])


def _load(file: Path, types: Mapping[str, str]) -> tuple[Runs, list[str | None]] | None:
    """Return the runs in a file of the cache, and their fingerprints; None without a file that is whole and current."""
    try:
        check_private(file.parent)
        with np.load(file, allow_pickle=False) as arrays:
            facts = json.loads(arrays["facts"].tobytes())
            if facts["code"] != _code_fingerprint() or facts["types"] != dict(types):
                return None
            typed = {key: Typed(arrays[f"values.{key}"], arrays.get(f"missing.{key}")) for key in types}
            counts = arrays["counts"]
        os.utime(file)  # used: it stays
    except (HpcnnError, MemoryError, *UNREADABLE):
        return None
    epochs = Columns(int(counts.sum()), typed, facts["others"])
    return Runs(facts["paths"], facts["rows"], counts, epochs), facts["fingerprints"]


def _save(file: Path, runs: Runs, fingerprints: Sequence[str | None], types: Mapping[str, str]) -> None:
    facts = {
        "code": _code_fingerprint(),
        "types": dict(types),
        "paths": runs.paths,
        "fingerprints": fingerprints,
        "rows": runs.rows,
    }
    arrays = {}
    for key, (values, missing) in runs.epochs.typed.items():
        arrays[f"values.{key}"] = values
        if missing is not None:
            arrays[f"missing.{key}"] = missing
    text = json.dumps({**facts, "others": runs.epochs.others})
    make_private(file.parent)
    with (
        replacing(file, durable=False) as temporary,
        open_own(temporary, "wb") as opened,
    ):
        np.savez(opened, facts=np.frombuffer(text.encode(), np.uint8), counts=runs.counts, **arrays)  # type: ignore[arg-type]
    for other in file.parent.iterdir():
        if other.stat().st_mtime < time.time() - _KEPT_SECONDS:
            other.unlink(missing_ok=True)
