"""How fast the steps of a network are: ways in turn, a few seconds of each, so that a noisy machine is noisy for all.

``python benchmarks/steps.py [--network NAME] [--precision NAME] [--torch FOLDER] [--repeats N] [--json FILE]`` starts
one process for each way, lets each trace and warm up, and then asks one after the other for a round of steps while the
others wait: hpcnn, hpcnn without its rewrites (``HPCNN_REWRITE=0``), ``model.fit``, and PyTorch (channels last, eager
and by ``torch.compile``; with torchvision in FOLDER). It prints images/s, median and range, and hpcnn's share of each
peer's, median and range over the rounds.

``--ranks 2`` measures ranks of one core each under Horovod instead, in one job whose ways are traced one after the
other: as hpcnn sums gradients, without communication (the ceiling), meeting in every step to sum the smallest gradient
alone (what waiting for each other costs), and with each ``--setting NAME=VALUE``.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from common import PEERS, Result, machine, markdown, parser, report
from horovod import CEILING, MEETING
from training import NETWORKS, TORCH_WAYS, WAYS, Network, images_file

from hpcnn.parallel.base import GROUPED
from hpcnn.sites.load import load_site

SWITCH = "HPCNN_REWRITE"  # of train/rewrite, which imports Keras
# Seconds that a round should take, and the fewest steps of one.
SECONDS, FEWEST = 2.0, 3


class Stepper:
    """A process that does a round of steps whenever it is asked, and waits between."""

    def __init__(self, words: Sequence[object], environment: dict[str, str]) -> None:
        """Start it; it traces and warms up at once."""
        given = [str(word) for word in words]
        self._process = subprocess.Popen(
            given, cwd=PEERS, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.ready = self._answer()

    def rate(self, way: int = 0, steps: int = FEWEST) -> float:
        """Return the images/s of a round. way: of a process that knows several."""
        assert self._process.stdin is not None
        print(way, steps, file=self._process.stdin, flush=True)
        answer = self._answer()
        return float(answer["samples"] / answer["seconds"])

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("{"):
                found: dict[str, Any] = json.loads(line)
                return found
        raise SystemExit(f"steps.py: ended with status {self._process.wait()}: {self._process.args}")

    def close(self) -> None:
        """End it."""
        self._process.communicate()


def measure(
    name: str, precision: str, ways: Sequence[str], torch: Path | None, repeats: int, threads: int
) -> Iterator[tuple[str, float]]:
    """Yield way and images/s of a round: all ways in turn, round after round."""
    with tempfile.TemporaryDirectory() as folder:
        file = images_file(Path(folder) / f"{name}.npz", NETWORKS[name].side, NETWORKS[name].images)
        steppers = {way: _stepper(way, name, file, precision, torch, threads) for way in ways}
        steps = {way: _steps(stepper.rate(), NETWORKS[name]) for way, stepper in steppers.items()}
        for _ in range(repeats):
            for way, stepper in steppers.items():
                yield way, stepper.rate(steps=steps[way])
        for stepper in steppers.values():
            stepper.close()


def measure_ranks(
    name: str, precision: str, settings: Sequence[str], ranks: int, repeats: int
) -> Iterator[tuple[str, float]]:
    """Yield way and images/s of a round of all ranks together."""
    ways = ["hpcnn, horovod", CEILING, MEETING, *settings]
    with tempfile.TemporaryDirectory() as folder:
        file = images_file(Path(folder) / f"{name}.npz", NETWORKS[name].side, NETWORKS[name].images)
        environment = {**_environment(1), **load_site("local").environment, "OMPI_MCA_plm": "isolated"}
        environment |= {"HPCNN_CPUS_PER_TASK": "1", "HPCNN_WORLD_SIZE": str(ranks)}  # as in its jobs
        launch = ("mpirun", "-np", ranks, "--bind-to", "core", "--map-by", "slot:PE=1", "--oversubscribe")
        stepper = Stepper([*launch, sys.executable, *_words("horovod", name, file, precision), *settings], environment)
        steps = [_steps(stepper.rate(way), NETWORKS[name]) for way in range(len(ways))]
        for _ in range(repeats):
            for number, way in enumerate(ways):
                yield way, stepper.rate(number, steps[number])
        stepper.close()


def _steps(rate: float, network: Network) -> int:
    """Return the steps of a round: those of some seconds, as many as an epoch has at most."""
    return max(FEWEST, min(int(SECONDS * rate / network.batch), network.images // network.batch))


def _stepper(way: str, name: str, file: Path, precision: str, torch: Path | None, threads: int) -> Stepper:
    if way in TORCH_WAYS:
        assert torch is not None
        given = (name, file, precision, 0, NETWORKS[name].batch, threads, 1, way.rpartition(" ")[2])
        return Stepper([torch / "bin" / "python", PEERS / "torch_networks.py", *given], _environment(threads))
    environment = {**_environment(threads), "HPCNN_CPUS_PER_TASK": str(threads)}
    if way == "model.fit":
        network = NETWORKS[name]
        given = (network.model, json.dumps(network.arguments), file, precision, 0, network.batch, threads, 1)
        return Stepper([sys.executable, PEERS / "network_fit.py", *given], environment)
    environment |= load_site("local").environment  # as in its jobs
    environment["HPCNN_REWRITE"] = "0" if way.endswith("=0") else "1"
    return Stepper([sys.executable, *_words("serial", name, file, precision)], environment)


def _words(strategy: str, name: str, file: Path, precision: str) -> list[object]:
    network = NETWORKS[name]
    return [
        PEERS / "steps_hpcnn.py",
        strategy,
        network.model,
        json.dumps(network.arguments),
        file,
        precision,
        network.batch,
    ]


def _environment(threads: int) -> dict[str, str]:
    return {
        **os.environ,
        **{"OMP_NUM_THREADS": str(threads), "TF_CPP_MIN_LOG_LEVEL": "2"},
        **{"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"},
    }


def table(results: Sequence[Result]) -> str:
    """Return the results as a Markdown table."""
    first = {one.case: one for one in reversed(results)}
    rows = [
        [*one.case.split(", "), one.way, f"{one.median:,.0f}", one.spread(), _ratio(first[one.case], one)]
        for one in results
    ]
    return markdown(["network", "precision", "way", "images/s, median", "min..max", "the first way is"], rows)


def _ratio(ours: Result, other: Result) -> str:
    """Return the ratio of the rates, median and range over rounds: each against the other's of its own round."""
    if ours is other:
        return ""
    ratios = [one / two for one, two in zip(ours.values, other.values, strict=False)]
    return f"{statistics.median(ratios):.2f} x ({min(ratios):.2f}..{max(ratios):.2f})"


def main() -> None:
    """Measure, print, and write what was measured."""
    made = parser(__doc__, repeats=10)
    made.add_argument("--network", action="append", choices=sorted(NETWORKS), help="only this network")
    made.add_argument("--precision", action="append", choices=["float32", "bfloat16"], help="only this [float32]")
    made.add_argument("--torch", type=Path, help="environment that has PyTorch and torchvision")
    made.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="of a process [%(default)s]")
    made.add_argument("--ranks", type=int, help="ranks of one core each under Horovod instead")
    made.add_argument("--setting", action="append", default=[], metavar="NAME=VALUE", help="a way more, with --ranks")
    made.add_argument("--way", action="append", choices=[*WAYS, *TORCH_WAYS], help="only this way")
    options = made.parse_args()
    for setting in options.setting:  # others are read when the ranks start, so they would change nothing
        if not options.ranks or setting.partition("=")[0] not in (SWITCH, GROUPED):
            made.error(f"--setting {setting}: with --ranks alone, and of {SWITCH} and {GROUPED}")
    ways = options.way or [*WAYS, *(TORCH_WAYS if options.torch else ())]
    names, repeats = options.network or list(NETWORKS), options.repeats
    if options.smoke:
        names, repeats, ways = ["resnet20"], 1, list(WAYS)
    facts, found = machine(), dict[tuple[str, str], Result]()
    for name in names:
        for precision in options.precision or ["float32"]:
            if options.ranks:
                rounds = measure_ranks(name, precision, options.setting, options.ranks, repeats)
            else:
                rounds = measure(name, precision, ways, options.torch, repeats, options.threads)
            case = f"{name}, {precision}"
            for way, rate in rounds:
                found.setdefault((case, way), Result(case, way, "images/s")).values.append(rate)
            for one in found.values():
                if one.case == case:
                    values = " ".join(f"{rate:,.0f}" for rate in one.values)
                    print(f"{case}, {one.way}: {values} images/s", file=sys.stderr)
    results = list(found.values())
    report("steps", facts, table(results), results, options.json)


if __name__ == "__main__":
    main()
