"""How fast two ranks of one core train together: hpcnn's ways beside each other, Horovod's own, and the ceiling.

``python benchmarks/horovod.py [--repeats N] [--way NAME] [--json FILE]`` trains two networks of the lectures on MNIST
(``HPCNN_DATA``; without it, on random images), each with the lecture's batch as the global one, in turn: hpcnn under
Horovod as a job starts it, the same without communication (the ceiling: no network and no library could be faster),
the ceiling of ranks that meet in every step (``peers/meeting.py``), mirrored in one process, multiworker in two, and
Horovod's own example with Horovod's own settings. A training's images/s are those of all its epochs after the first; it
prints the median over the trainings of each way, their range, and the share of the ceiling of the same round.

``--network NAME`` trains a network of research instead, on random images in colour, in hpcnn's ways alone.
``--setting NAME=VALUE`` adds hpcnn under Horovod with this environment variable as a way, as `hpcnn tune` tries it.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from common import PEERS, Result, data_file, machine, markdown, parser, report
from training import NETWORKS, Network, images_file, network_words

CEILING = "ceiling: no communication"
MEETING = "ceiling of ranks that meet in every step"
RANKS = ("--ntasks", "2", "--cpus-per-task", "1")
WAYS: dict[str, Sequence[str]] = {
    "hpcnn, horovod": (*RANKS, "--strategy", "horovod"),
    CEILING: (*RANKS, "--strategy", "horovod", "--no-communication"),
    MEETING: RANKS,
    "hpcnn, mirrored": ("--cpus-per-task", "2", "--strategy", "mirrored", "--devices", "2"),
    "hpcnn, multiworker": (*RANKS, "--strategy", "multiworker"),
}
PEER = "Horovod's example, its defaults"
# Horovod's documentation, docs/mpi.rst.
MPIRUN = ("mpirun", "-np", "2", "--bind-to", "none", "--map-by", "slot", "--oversubscribe")


@dataclass(frozen=True)
class Case:
    """One network with the global batch of its lecture. samples: of an epoch."""

    name: str
    batch: int
    epochs: int
    samples: int
    network: Network | None = None

    def words(self) -> list[object]:
        """Return the options of a training: its network and all that is the lecture's."""
        if self.network:
            return [*network_words(self.network), "--samples", self.samples]
        shared = ("--epochs", self.epochs, "--batch-size", self.batch, "--samples", self.samples)
        return ["--model", self.name, *shared, "--pixel-scale", "unit"]


CASES = (Case("scinet-cnn1", 128, 4, 60_000), Case("psc-cnn-dropout", 32, 3, 20_000))


def hpcnn(case: Case, file: Path, way: str, run: Path, seed: int) -> list[float]:
    """Train as a job and return the images/s of each epoch: all ranks' samples over the slowest rank's seconds."""
    words = [sys.executable, "-m", "hpcnn", "submit", "--quiet", "--run-dir", run]
    words += WAYS[way] if way in WAYS else [*WAYS["hpcnn, horovod"], "--env", way]
    if way == MEETING:
        words += ["--", sys.executable, PEERS / "meeting.py", "--no-communication"]
    words += [*case.words(), "--data", file, "--no-evaluate", "--seed", seed]
    subprocess.run([str(word) for word in words], cwd=PEERS, check=True, capture_output=True)
    ranks = [[json.loads(line) for line in file.read_text().splitlines()] for file in run.glob("epochs.rank*.jsonl")]
    epochs = zip(*ranks, strict=True)
    return [sum(one["samples"] for one in epoch) / max(one["seconds_total"] for one in epoch) for epoch in epochs]


def peer(case: Case, file: Path, seed: int) -> list[float]:
    """Train by Horovod's example and return the images/s of each epoch."""
    words = [*MPIRUN, sys.executable, PEERS / "horovod_keras.py"]
    words += [case.name, file, case.epochs, case.batch, 1 / 255, 1, seed, case.samples]
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith(("HOROVOD_", "OMPI_MCA_"))},
        **{"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "TF_CPP_MIN_LOG_LEVEL": "2"},
        "OMPI_MCA_plm": "isolated",  # one machine alone needs no remote shell
        **{"OMP_NUM_THREADS": "1", "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"},
    }
    done = subprocess.run([str(word) for word in words], env=environment, check=True, capture_output=True, text=True)
    result = json.loads(next(line for line in done.stdout.splitlines() if line.startswith("{")))
    return [result["samples"] / seconds for seconds in result["seconds"]]


def measure(
    cases: Sequence[Case], ways: Sequence[str], samples: int, repeats: int
) -> Iterator[tuple[str, str, list[float]]]:
    """Yield case, way and images/s of the epochs after the first: all ways in turn, repeat after repeat."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = data_file(folder, samples)
        for seed in range(1, repeats + 1):
            for case in cases:
                data = images_file(folder / f"{case.name}.npz", case.network.side, samples) if case.network else file
                for number, way in enumerate(ways):
                    run = folder / f"{case.name}-{number}-{seed}"
                    rates = peer(case, file, seed) if way == PEER else hpcnn(case, data, way, run, seed)
                    yield case.name, way, rates[1:]


def table(results: Sequence[Result]) -> str:
    """Return the results as a Markdown table."""
    ceilings = {one.case: one.values for one in results if one.way == CEILING}
    rows = [
        [one.case, one.way, f"{one.median:,.0f}", one.spread(), _share(one.values, ceilings.get(one.case, []))]
        for one in results
    ]
    return markdown(["network", "way", "images/s, median", "min..max", "of the ceiling"], rows)


def _share(rates: Sequence[float], ceilings: Sequence[float]) -> str:
    """Return the share of the ceiling, median and range over rounds: each against the ceiling of its own round."""
    shares = [rate / ceiling for rate, ceiling in zip(rates, ceilings, strict=False)]
    return f"{statistics.median(shares):.0%} ({min(shares):.0%}..{max(shares):.0%})" if shares else ""


def main() -> None:
    """Measure, print, and write what was measured."""
    made = parser(__doc__, repeats=3)
    made.add_argument("--model", action="append", choices=[case.name for case in CASES], help="only this network")
    made.add_argument("--network", action="append", choices=sorted(NETWORKS), help="a network of research instead")
    made.add_argument("--setting", action="append", default=[], metavar="NAME=VALUE", help="also try this variable")
    made.add_argument("--way", action="append", choices=[*WAYS, PEER], help="only this way")
    options = made.parse_args()
    if options.network and PEER in (options.way or ()):
        made.error(f"--way: {PEER!r} trains no --network")
    cases = [case for case in CASES if case.name in (options.model or [case.name for case in CASES])]
    ways, samples, repeats = options.way or [*WAYS, PEER], 60_000, options.repeats
    if options.network:
        networks = {name: NETWORKS[name] for name in options.network}
        cases = [Case(name, one.batch, one.epochs, one.images, one) for name, one in networks.items()]
        ways, samples = options.way or list(WAYS)[:2], max(case.samples for case in cases)
    ways += options.setting
    if options.smoke:
        cases, ways, samples, repeats = [Case("scinet-cnn1", 128, 2, 1_024)], [*ways[:3], PEER], 1_024, 1
    facts, found = machine(), dict[tuple[str, str], Result]()
    for case, way, rates in measure(cases, ways, samples, repeats):
        found.setdefault((case, way), Result(case, way, "images/s")).values.append(statistics.harmonic_mean(rates))
        print(f"{case}, {way}: {', '.join(f'{rate:,.0f}' for rate in rates)} images/s", file=sys.stderr)
    results = sorted(found.values(), key=lambda one: [case.name for case in cases].index(one.case))
    report("horovod", facts, table(results), results, options.json)


if __name__ == "__main__":
    main()
