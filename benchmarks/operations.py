"""Where a step's time goes: milliseconds by kind of operation, in hpcnn, as Keras computes, and in PyTorch.

``python benchmarks/operations.py [--network NAME] [--precision NAME] [--torch FOLDER] [--repeats N] [--json FILE]``
trains some steps with ``hpcnn submit --profile``, with ``HPCNN_REWRITE=0`` beside it, and with PyTorch's own profiler
(channels last, eager and by ``torch.compile``; with torchvision in FOLDER), in turn. It prints the milliseconds of a
step by kind of operation, the largest types of each way (``--top``), and the share of the machine's ceilings, measured
in the same run: of the matrix product's GFLOP/s that convolutions and products reach, of the memory's GB/s that a step
would need if caches kept nothing. With one thread, the default, the kinds add up to a step.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common import PEERS, Result, machine, markdown, parser, report
from training import NETWORKS, TORCH_WAYS, WAYS, Network, images_file, network_words

from hpcnn.machine.bench.machine import PRECISIONS, measure
from hpcnn.rundir.layout import RunDir

# The first that a type of TensorFlow's or PyTorch's matches. PyTorch's gradients of depthwise convolutions are among
# those of all others, and torch.compile's kernels compute several kinds at once.
KINDS = (
    ("compiled together", r"cpp_fused|CompiledFx"),
    ("update of weights", r"ResourceApply|Assign|foreach"),
    ("depthwise convolutions", r"Depthwise|depthwise"),
    ("gradients of convolutions", r"Conv\w*Backprop|convolution_backward"),
    ("convolutions", r"Conv|convolution"),
    ("products of matrices", r"MatMul|::(addmm|mm|bmm)$"),
    ("normalization", r"Norm|_norm"),
    ("activations", r"elu|Elu|igmoid|anh|oftmax|threshold|hard|silu"),
    ("pooling", r"[Pp]ool"),
    ("moving values", r"Pad|Concat|Slice|Gather|pose|Tile|Pack|Split|::(copy_|cat|index|fill_|zero_|constant_pad_nd)$"),
    ("sums over axes", r"Sum|Mean|BiasAddGrad|::(sum|mean)"),
    ("value by value", r"Add|Sub|Mul|Div|Neg|Sq|Rsqrt|Select|Max|Min|Cast|Equal|::(add|sub|mul|div|neg|where)_?$"),
    ("other", r""),
)
PRODUCTS = ("compiled together", *(kind for kind, _ in KINDS[2:6]))
# Steps that are recorded, and those of hpcnn's first call, which traces.
STEPS, FIRST = 8, 4


@dataclass(frozen=True)
class Recorded:
    """The recorded steps of a way: milliseconds of a step by type, of the step by the clock, and what it counts."""

    types: dict[str, float]
    step: float
    flops: float | None = None
    moved: float | None = None

    def kinds(self) -> dict[str, float]:
        """Return the milliseconds by kind, of every kind."""
        found = dict.fromkeys((kind for kind, _ in KINDS), 0.0)
        for type, spent in self.types.items():
            found[next(kind for kind, words in KINDS if re.search(words, type))] += spent
        return found


def by_hpcnn(
    network: Network, file: Path, precision: str, threads: int, run: Path, *, rewrite: bool, steps: int
) -> Recorded:
    """Record steps of a job as ``hpcnn submit`` starts one here."""
    command = (sys.executable, "-m", "hpcnn")
    words = [
        *(*command, "submit", "--quiet", "--run-dir", run, *network_words(network), "--epochs", 1),
        *("--data", file, "--precision", precision, "--profile", steps, "--seed", 1),
        *("--no-evaluate", "--ntasks", 1, "--cpus-per-task", threads),
    ]
    environment = {**os.environ, "HPCNN_REWRITE": f"{rewrite:d}"}
    subprocess.run([str(word) for word in words], cwd=PEERS, env=environment, check=True, capture_output=True)
    words = [*command, "profile", run, "--top", 10_000, "--format", "json"]
    record = json.loads(subprocess.run([str(word) for word in words], check=True, capture_output=True).stdout)
    types = {row["type"]: 1e3 * row["seconds_per_step"] for row in record["operations"] if row["kind"] != "kernel"}
    model = json.loads(RunDir(run).provenance.read_text(encoding="utf-8"))["model"]
    flops = moved = None
    if not model["not_counted"]:
        flops = float(model["flops_training"] * network.batch)
        moved = float(model["bytes_per_sample"] * network.batch + model["bytes_per_step"])
    (rank,) = record["ranks"]
    return Recorded(types, 1e3 * rank["seconds"] / rank["steps"], flops, moved)


def by_torch(
    python: Path, name: str, file: Path, precision: str, threads: int, form: str, ours: Recorded, steps: int
) -> Recorded:
    """Record steps by PyTorch's profiler. ours: whose counts hold for the same network here."""
    given = (name, file, precision, NETWORKS[name].batch, threads, steps, form)
    words = [str(word) for word in (python, PEERS / "torch_operations.py", *given)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(words, env=environment, check=True, capture_output=True, text=True)
    record = json.loads(done.stdout.splitlines()[-1])
    return Recorded(record["types"], record["step"], ours.flops, ours.moved)


def record_all(
    name: str, precision: str, ways: Sequence[str], torch: Path | None, repeats: int, threads: int, steps: int
) -> dict[str, list[Recorded]]:
    """Return what was recorded of every way: all in turn, repeat after repeat."""
    network, found = NETWORKS[name], defaultdict[str, list[Recorded]](list)
    with tempfile.TemporaryDirectory() as folder:
        file = images_file(Path(folder) / f"{name}.npz", network.side, network.batch * (FIRST + steps))
        for repeat in range(repeats):
            for number, way in enumerate(ways):
                if way in TORCH_WAYS:
                    assert torch is not None
                    given = (torch / "bin" / "python", name, file, precision, threads, way.rpartition(" ")[2])
                    found[way].append(by_torch(*given, found[ways[0]][-1], steps))
                else:
                    run, rewrite = Path(folder) / f"{repeat}-{number}", not way.endswith("=0")
                    recorded = by_hpcnn(network, file, precision, threads, run, rewrite=rewrite, steps=steps)
                    found[way].append(recorded)
    return found


def kinds_table(results: Sequence[Result]) -> str:
    """Return the milliseconds of a step: a row for each kind, a column for each way."""
    ways = list(dict.fromkeys(one.way for one in results))
    cells: dict[str, dict[str, str]] = defaultdict(dict)
    for one in results:
        if one.unit == "ms":
            cells[one.case][one.way] = f"{one.median:.1f}"
    rows = [[*case.split(", "), *(by_way.get(way, "") for way in ways)] for case, by_way in cells.items()]
    return markdown(["network", "precision", "ms of a step", *ways], rows)


def types_table(case: str, recorded: dict[str, list[Recorded]], top: int) -> str:
    """Return the types of operations that take most, of the last recording of each way."""
    rows = []
    for way, parts in recorded.items():
        largest = sorted(parts[-1].types.items(), key=lambda item: -item[1])[:top]
        rows += [[*case.split(", "), way, f"`{type}`", f"{spent:.2f}"] for type, spent in largest]
    return markdown(["network", "precision", "way", "type", "ms of a step"], rows)


def shares(case: str, recorded: dict[str, list[Recorded]], ceiling: dict[str, Any]) -> list[Result]:
    """Return the rates of each way and their shares of the ceilings, of a network all of whose layers are counted."""
    found = []
    product, memory = ceiling[f"{case.split(', ')[1]}_flops_per_second"], ceiling["bytes_per_second"]
    for way, parts in recorded.items():
        for one in parts:
            if one.flops is None or one.moved is None:
                continue
            kinds = one.kinds()
            flops = one.flops / sum(1e-3 * kinds[kind] for kind in PRODUCTS)
            for unit, value in (
                ("GFLOP/s in products", flops / 1e9),
                ("% of the matrix product", 100 * flops / product),
                ("GB/s if caches kept nothing", one.moved / one.step / 1e6),
                ("% of the memory's", 100 * one.moved / one.step * 1e3 / memory),
            ):
                name = f"{case}, {unit}"
                if not any((r.case, r.way) == (name, way) for r in found):
                    found.append(Result(name, way, unit))
                next(r for r in found if (r.case, r.way) == (name, way)).values.append(value)
    return found


def shares_table(results: Sequence[Result]) -> str:
    """Return rates and shares as a Markdown table."""
    units = list(dict.fromkeys(one.unit for one in results if one.unit != "ms"))
    cells: dict[tuple[str, str], dict[str, str]] = defaultdict(dict)
    for one in results:
        if one.unit != "ms":
            cells[one.case.removesuffix(f", {one.unit}"), one.way][one.unit] = f"{one.median:.0f}"
    rows = [[*case.split(", "), way, *(cells[case, way][unit] for unit in units)] for case, way in cells]
    return markdown(["network", "precision", "way", *units], rows)


def main() -> None:
    """Measure, print, and write what was measured."""
    made = parser(__doc__, repeats=3)
    made.add_argument("--network", action="append", choices=sorted(NETWORKS), help="only this network")
    made.add_argument("--precision", action="append", choices=PRECISIONS, help="only this [float32]")
    made.add_argument("--torch", type=Path, help="environment that has PyTorch and torchvision")
    made.add_argument("--threads", type=int, default=1, help="of a process [%(default)s]")
    made.add_argument("--top", type=int, default=12, help="types of operations of each way to show [%(default)s]")
    made.add_argument("--way", action="append", choices=[WAYS[1], *TORCH_WAYS], help="beside hpcnn only this way")
    options = made.parse_args()
    if not options.torch and any(way in TORCH_WAYS for way in options.way or ()):
        made.error("PyTorch needs --torch FOLDER")
    ways = [WAYS[0], *(options.way or (WAYS[1], *(TORCH_WAYS if options.torch else ())))]
    names, repeats, steps = options.network or list(NETWORKS), options.repeats, STEPS
    if options.smoke:
        names, repeats, steps = ["resnet20"], 1, 2
    facts, results, tables = machine(), list[Result](), []
    (ceiling,) = measure([options.threads])["ceilings"]
    for name in names:
        for precision in options.precision or ["float32"]:
            case = f"{name}, {precision}"
            recorded = record_all(name, precision, ways, options.torch, repeats, options.threads, steps)
            for way, parts in recorded.items():
                of_kinds = [{**one.kinds(), "a step by the clock": one.step} for one in parts]
                results += [
                    Result(f"{case}, {kind}", way, "ms", [one[kind] for one in of_kinds]) for kind in of_kinds[0]
                ]
            results += shares(case, recorded, ceiling)
            tables.append(types_table(case, recorded, options.top))
    facts |= {"threads": options.threads, "ceiling": ceiling}
    text = "\n\n".join([kinds_table(results), shares_table(results), *tables])
    report("operations", facts, text, results, options.json)


if __name__ == "__main__":
    main()
