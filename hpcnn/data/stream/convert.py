"""Write a data set in another form, chunk by chunk; what was written stays when the command is stopped.

Beside the result stands ``NAME.convert.json`` from before its first file to the end: what is converted, and how many
samples of each part are on disk. No reader takes the result until then. Each chunk has its place, so that one which was
cut off is written again.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from hpcnn.data.dataset import DataSet
from hpcnn.data.labels import IMAGES
from hpcnn.data.stream.bulk import slices
from hpcnn.data.stream.pairs import Pairs
from hpcnn.data.stream.rows import MappedRows
from hpcnn.data.stream.source import Source
from hpcnn.data.stream.streamed import StreamedSet, source_of
from hpcnn.data.stream.writers import WRITERS, Writer
from hpcnn.util.errors import UsageError, bad_value, unknown_value
from hpcnn.util.files import make_folder, read_json, write_json
from hpcnn.util.lock import alone
from hpcnn.util.user import expanded
from hpcnn.zoo.forms import conversion_log

Progress = Callable[[str, int, int], None]


def convert(
    data: DataSet, target: str, chunk: int, progress: Progress = lambda part, done, count: None, *, force: bool = False
) -> Path:
    """Write the training and test samples of a set as ``FORM:PATH``; return the path.

    chunk: samples that are written together, and read together where the form has chunks. force: start anew where there
    is something at the path. progress: called with part, samples that are done, and samples in all.
    Raises UsageError for a set of several arrays, for another form, and for a path that is taken.
    """
    form, _, place = target.partition(":")
    if form not in WRITERS:
        raise unknown_value("DEST", form, [f"{name}:PATH" for name in WRITERS])
    if not place:
        raise bad_value("DEST", target, f"{form}:PATH")
    sources = sources_of(data)
    path = expanded(place).absolute()
    make_folder(path.parent)
    with alone(path.with_name(f".{path.name}.convert.lock")):
        _convert(data, form, path, sources, chunk, progress, force=force)
    return path


def check_kind_stays(data: DataSet) -> None:
    """Raise UsageError for labels that nobody could tell from others once they are in files of their own."""
    if data.kind == IMAGES and data.y_train.shape[-1] == 1:
        raise UsageError(
            f"SOURCE: {data.name} has grey images to predict; in a file they would be taken for the classes of pixels. "
            "As floats (y / 255) they are images; npy:X.npy,X.npy and h5:FILE#x,x say that the features are predicted"
        )


def _convert(
    data: DataSet, form: str, path: Path, sources: dict[str, Source], chunk: int, progress: Progress, *, force: bool
) -> None:
    log = conversion_log(path)
    samples = {part: len(source) for part, source in sources.items()}
    wanted = {"source": data.name, "form": form, "chunk": chunk, "samples": samples, "notes": list(data.notes)}
    state = read_json(log) if log.exists() else None
    same = state is not None and not force and all(state.get(key) == value for key, value in wanted.items())
    if path.exists() and not same and not force:
        what = "the rest of another conversion" if state else "something already"
        raise UsageError(f"DEST: there is {what} at {path}; --force writes it anew")
    reached = state.get("done") if state and same and path.exists() else None
    done: dict[str, int] = dict(reached) if isinstance(reached, dict) else dict.fromkeys(sources, 0)
    if reached is None:  # said before the first file: what a kill leaves from here on is no data
        write_json(log, {**wanted, "done": None}, durable=False)
    writer: Writer = WRITERS[form](path, sources, chunk, fresh=reached is None, classes=data.classes or None)
    write_json(log, {**wanted, "done": done}, durable=False)
    for part, source in sources.items():
        progress(part, done[part], len(source))
        for first, arrays in slices(source, done[part], chunk):
            writer.write(part, first, arrays)
            done[part] = first + len(arrays[0])
            write_json(log, {**wanted, "done": done}, durable=False)
            progress(part, done[part], len(source))
    writer.close()
    log.unlink(missing_ok=True)


def sources_of(data: DataSet) -> dict[str, Source]:
    """Return training and test samples as sources, of arrays in memory too."""
    if isinstance(data, StreamedSet):
        return {"train": source_of(data.x_train), "test": source_of(data.x_test)}
    if data.is_structured or data.tokens:
        raise UsageError(f"{data.name} has several arrays, or words; one array of features and labels is written")
    return {
        "train": _in_memory(data.name, data.x_train, data.y_train, data.train_weights),
        "test": _in_memory(data.name, data.x_test, data.y_test, data.test_weights),
    }


def _in_memory(name: str, x: Any, y: Any, weights: Any) -> Source:
    return Pairs([(name, MappedRows(x), MappedRows(y))], [] if weights is None else [MappedRows(weights)])
