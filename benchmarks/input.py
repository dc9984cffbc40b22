"""How many samples a second the forms of data give, alone and to a network that trains on them.

``python benchmarks/input.py [--repeats N] [--case CASE] [--json FILE]`` writes the same images as NumPy's files, HDF5
(in one piece and in chunks), Zarr, TFRecords and Parquet, and photographs of 256x256 as JPEG. *Alone*: an epoch's
slices of 128 in hpcnn's order, which nobody computes with. Photographs beside
``keras.utils.image_dataset_from_directory`` with prefetch and a tf.data pipeline as TensorFlow's performance guide
writes it; beside grain where it is installed. *Training*: ``psc-cnn-dropout``, the second epoch, on the same set in
memory and streamed. All ways take turns, so that ratios hold on a machine that has other work.
"""

from __future__ import annotations

import importlib.util
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from common import Result, data_file, machine, markdown, parser, report

BATCH = 128
CHUNK = 256
SIZE = (256, 256)
FORMS = ("npy", "h5", "zarr", "tfrecord", "parquet")
ALONE, PHOTOGRAPHS, TRAINING = "digits alone", "JPEG alone", "training"
CASES = (ALONE, PHOTOGRAPHS, TRAINING)
HERE = "hpcnn"


@dataclass(frozen=True)
class Amount:
    """How much is read: digits, photographs, and samples of a training."""

    digits: int
    photographs: int
    training: int


def main() -> int:
    """Write the data, measure in turn, print the tables."""
    arguments = parser(__doc__, repeats=5)
    arguments.add_argument("--case", choices=CASES, help="measure this case alone")
    options = arguments.parse_args()
    amount = Amount(1000, 64, 600) if options.smoke else Amount(30_000, 512, 1_500)
    facts = machine()
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        ways: dict[tuple[str, str], Callable[[], float]] = {}
        if options.case != PHOTOGRAPHS:
            names = written(here, amount)
            ways |= {(ALONE, form): reading(name) for form, name in names.items()} | trainings(here, names, amount)
        if options.case in (None, PHOTOGRAPHS):
            ways |= photographs(here, amount)
        ways = {key: way for key, way in ways.items() if options.case in (None, key[0])}
        found = {key: Result(*key, unit="samples/s") for key in ways}
        processor: dict[tuple[str, str], list[float]] = {key: [] for key in ways}
        for key, way in ways.items():
            way()  # first: files into the system's memory, graphs traced
            print(f"ready: {', '.join(key)}", file=sys.stderr, flush=True)
        for _ in range(options.repeats):
            for key, way in ways.items():
                begin = time.process_time()
                found[key].values.append(way())
                processor[key].append(time.process_time() - begin)
    counts = {ALONE: amount.digits, PHOTOGRAPHS: amount.photographs}
    report("input", facts, table(list(found.values()), processor, counts), found.values(), options.json)
    return 0


def table(results: list[Result], processor: dict[tuple[str, str], list[float]], counts: dict[str, int]) -> str:
    """Return medians, ranges, and each way's share of the first of its case: the median of the rounds' own ratios.

    processor: seconds of all cores in each round. counts: samples of a round, of the cases that only read.
    """
    rows = []
    for one in results:
        first = next(other for other in results if other.case == one.case)
        shares = Result("", "", "", [a / b for a, b in zip(one.values, first.values, strict=True)])
        share = f"{shares.median:.2f} ({shares.spread('.2f')})"
        cost = ""
        if one.case in counts:
            cost = f"{statistics.median(processor[one.case, one.way]) / counts[one.case] * 1e3:.3f}"
        rows.append((one.case, one.way, f"{one.median:,.0f}", one.spread(), share, cost))
    heads = ("case", "way", "samples/s, median", "range", "share of the case's first way", "processor ms a sample")
    return markdown(heads, rows)


def written(here: Path, amount: Amount) -> dict[str, str]:
    """Write the digits in every form; return the names of the data sets. ``h5`` in one piece besides."""
    import h5py

    from hpcnn.data.registry import load
    from hpcnn.data.stream.convert import convert

    data = load(str(data_file(here, amount.digits)), samples=amount.digits, test_samples=160)
    names = {form: f"{form}:{here / form}" for form in FORMS}
    for name in names.values():
        convert(data, name, CHUNK)
    with h5py.File(here / "whole.h5", "w") as file:
        for key in ("x_train", "y_train", "x_test", "y_test"):
            file[key] = getattr(data, key)
    return {"npy": names.pop("npy"), "h5, one piece": f"h5:{here / 'whole.h5'}", **names}


def reading(name: str, size: tuple[int, int] | None = None) -> Callable[[], float]:
    """Return what reads an epoch of slices as a training does, and returns samples a second."""
    from hpcnn.data.registry import load
    from hpcnn.data.stream.opened import Options
    from hpcnn.data.stream.streamed import source_of
    from hpcnn.train.order import order_of
    from hpcnn.train.plan import blocks
    from hpcnn.train.reader import Reader

    source = source_of(load(name, options=Options(size)).x_train)
    # forms in chunks as their users are told to read them
    shuffle = f"block:{source.chunk}" if source.chunk > 1 else "global"

    def run() -> float:
        begin = time.perf_counter()
        reader = Reader(source, source.threads or machine()["cores"])
        order = order_of(len(source), 1, 1, shuffle)
        slices = [row for block in blocks(order, BATCH, 1, (0,)) for row in block.indices[0]]
        reader.expect(iter(slices))
        for indices in slices:
            reader.read(indices)
        reader.close()
        return len(source) / (time.perf_counter() - begin)

    return run


def photographs(here: Path, amount: Amount) -> dict[tuple[str, str], Callable[[], float]]:
    """Write photographs of two classes; return the ways of reading them, decoded and of one size."""
    import keras
    import numpy as np
    import tensorflow as tf

    folder = here / "photographs"
    draw = np.random.default_rng(1)
    for number in range(amount.photographs):
        coarse = draw.integers(0, 256, (32, 32, 3)).astype(np.float32)
        picture = tf.cast(tf.image.resize(coarse, SIZE), tf.uint8)
        file = folder / "train" / f"class{number % 2}" / f"{number:05d}.jpg"
        for path in (file, folder / "test" / file.parent.name / file.name):
            path.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(tf.io.encode_jpeg(picture, quality=90).numpy())
        if number < 2:
            (folder / "test" / file.parent.name / file.name).write_bytes(file.read_bytes())
    files = [str(path) for path in sorted((folder / "train").rglob("*.jpg"))]
    automatic = tf.data.AUTOTUNE

    def decoded(path: Any) -> Any:
        return tf.io.decode_jpeg(tf.io.read_file(path), channels=3)

    shuffled = tf.data.Dataset.from_tensor_slices(files).shuffle(len(files), seed=1)
    by_hand = shuffled.map(decoded, num_parallel_calls=automatic).batch(BATCH).prefetch(automatic)
    by_keras = keras.utils.image_dataset_from_directory(
        folder / "train", batch_size=BATCH, image_size=SIZE, seed=1, verbose=False
    ).prefetch(automatic)

    def rate(batches: Callable[[], Iterator[Any]]) -> Callable[[], float]:
        def run() -> float:
            begin = time.perf_counter()
            for _ in batches():
                pass
            return len(files) / (time.perf_counter() - begin)

        return run

    ways = {
        "tf.data by hand": rate(lambda: iter(by_hand)),
        HERE: reading(f"images:{folder}"),
        "Keras's folder": rate(lambda: iter(by_keras)),
    }
    if importlib.util.find_spec("grain"):
        ways["grain"] = rate(lambda: by_grain(files))
    return {(PHOTOGRAPHS, way): run for way, run in ways.items()}


def by_grain(files: list[str]) -> Iterator[Any]:
    """Return batches of decoded photographs by grain, with as many threads as it takes by default."""
    import grain
    import numpy as np
    import tensorflow as tf

    data = grain.MapDataset.source(files).seed(1).shuffle()
    return iter(
        data.map(lambda path: np.asarray(tf.io.decode_jpeg(Path(path).read_bytes()))).batch(BATCH).to_iter_dataset()
    )


def trainings(here: Path, names: dict[str, str], amount: Amount) -> dict[tuple[str, str], Callable[[], float]]:
    """Return trainings on the same set in memory and streamed: samples a second of the second epoch."""
    from hpcnn.parallel.serial import SingleReplica
    from hpcnn.specs.train import TrainSpec
    from hpcnn.train.session import train_under
    from hpcnn.util.files import read_lines

    spec = TrainSpec(
        model="psc-cnn-dropout", batch_size=BATCH, epochs=2, samples=amount.training, test_samples=100, evaluate=False
    )
    count = 0

    def training(data: str, cache: str) -> Callable[[], float]:
        def run() -> float:
            nonlocal count
            count += 1
            folder = here / f"run-{count}"
            train_under(SingleReplica(), replace(spec, data=data, cache=cache), str(folder), log=lambda line: None)
            last = list(read_lines(folder / "epochs.rank00000.jsonl"))[-1]
            return float(last["samples"] / last["seconds_total"])

        return run

    ways = {"in memory": training(names["npy"], "memory")}
    ways |= {form: training(names[form], "none") for form in ("npy", "h5, one piece", "h5", "zarr")}
    return {(TRAINING, way): run for way, run in ways.items()}


if __name__ == "__main__":
    sys.exit(main())
