"""A rank on a set of many gigabytes, which are holes in files: its private memory, and the time to its first step."""

from __future__ import annotations

import itertools
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from hpcnn.sites.load import load_site
from inputs.common import BATCH, CHUNK, Way
from inputs.forms import order_to_read

MEMORY, FIRST_STEP = "private memory of a rank", "first step"
# 10 million samples of this shape, one byte a pixel, are 20 GB.
SHAPE, FEW = (45, 45), 1_000
_SECONDS_BETWEEN_LOOKS = 0.02
_numbers = itertools.count()


def starts(folder: Path, large: int, seconds: float) -> dict[str, Way]:
    """Return what starts a training on few and on many samples. seconds: of training after the first step."""
    few, many = f"{FEW:,} samples", f"{large / 1e6:,.0f} million"
    sizes = {few: FEW, many: large}
    npy = {way: _npy(folder / f"npy-{count}", count) for way, count in sizes.items()}
    chunks = f"h5:{_hdf5(folder / 'many.h5', large)}"
    return {
        few: lambda: _start(npy[few], "global", folder, seconds),
        f"{many}, npy": lambda: _start(npy[many], "global", folder, seconds),
        f"{many}, h5": lambda: _start(chunks, order_to_read(CHUNK), folder, seconds),
    }


def _npy(folder: Path, samples: int) -> str:
    folder.mkdir()
    for part, count in (("train", samples), ("test", 160)):
        np.lib.format.open_memmap(folder / f"x_{part}.npy", "w+", np.uint8, (count, *SHAPE))  # a hole
        np.save(folder / f"y_{part}.npy", _labels(count))
    return f"npy:{folder}"


def _hdf5(file: Path, samples: int) -> Path:
    import h5py

    with h5py.File(file, "w") as opened:
        for part, count in (("train", samples), ("test", 160)):
            opened.create_dataset(f"x_{part}", (count, *SHAPE), np.uint8, chunks=(min(CHUNK, count), *SHAPE))  # a hole
            opened[f"y_{part}"] = _labels(count)
    return file


def _labels(count: int) -> np.ndarray:
    return (np.arange(count) % 10).astype(np.uint8)


def _start(data: str, shuffle: str, folder: Path, seconds: float) -> Mapping[str, float]:
    """Train until some seconds after the first step; return the most private memory in MB, and the step's second."""
    run = folder / f"start-{next(_numbers)}"
    words = [sys.executable, "-m", "hpcnn", "train", "--run-dir", run, "--data", data, "--shuffle", shuffle]
    words += ["--model", "psc-fc64", "--batch-size", BATCH, "--epochs", 100_000, "--no-evaluate"]
    environment = {**os.environ, **load_site("local").environment}  # as in its jobs
    environment["HPCNN_CPUS_PER_TASK"] = str(len(os.sched_getaffinity(0)))
    most, until = 0.0, float("inf")
    with (folder / "start.log").open("w") as log:
        process = subprocess.Popen([str(word) for word in words], env=environment, stdout=log, stderr=log)
        while process.poll() is None and time.monotonic() < until:
            most = max(most, _private(process.pid))
            if until == float("inf") and _events(run).get("first_call"):
                until = time.monotonic() + seconds
            time.sleep(_SECONDS_BETWEEN_LOOKS)
        if process.poll() is not None:
            raise SystemExit(f"input.py: {data} ended: {(folder / 'start.log').read_text()}")
        process.send_signal(signal.SIGTERM)
        process.wait()
    events = _events(run)
    first_step = events["init_start"]["value"] + events["first_call"]["seconds"]
    return {MEMORY: most, FIRST_STEP: first_step}


def _private(process: int) -> float:
    """Return the memory of a process that no other shares, in MB: without files that are mapped (proc(5), RssAnon)."""
    try:
        found = re.search(r"^RssAnon:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text(), re.MULTILINE)
    except OSError:
        return 0.0
    return int(found[1]) * 1024 / 1e6 if found else 0.0


def _events(run: Path) -> dict[str, dict[str, float]]:
    try:
        lines = (run / "events.jsonl").read_text().splitlines(keepends=True)
    except OSError:
        return {}
    events = [json.loads(line) for line in lines if line.endswith("\n")]
    return {event["key"]: event for event in reversed(events)}
