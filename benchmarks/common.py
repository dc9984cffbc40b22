"""What all benchmarks share: their options, the statement of the machine, tables, and the JSON that they write.

A result is one way of doing one case, with every value that was measured of it; medians and ranges are for tables.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hpcnn.util.host import cpu_model, versions

PEERS = Path(__file__).with_name("peers")


@dataclass
class Result:
    """One way of doing one case: values of one unit, in the order in which they were measured."""

    case: str
    way: str
    unit: str
    values: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        """The middle of the values."""
        return statistics.median(self.values)

    def spread(self, form: str = ",.0f") -> str:
        """Return ``min..max``, each in the given form."""
        return f"{min(self.values):{form}}..{max(self.values):{form}}"


def parser(text: str | None, repeats: int) -> argparse.ArgumentParser:
    """Return a parser with the options of every benchmark; ``text`` is the script's own docstring."""
    made = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--repeats", type=int, default=repeats, help="measurements of each way, in turn [%(default)s]")
    made.add_argument("--json", type=Path, help="also write every value there")
    made.add_argument("--smoke", action="store_true", help="see whether it runs: far too little to measure")
    return made


def machine() -> dict[str, Any]:
    """Return what a reader must know of the machine before believing a number."""
    return {
        "cpu_model": cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "system": platform.platform(),
        "load_average": os.getloadavg()[0],
        "versions": versions(),
    }


def statement(facts: dict[str, Any]) -> str:
    """Return one line that states the machine."""
    known = ", ".join(f"{name} {version}" for name, version in facts["versions"].items() if version)
    return (
        f"{facts['cpu_model']}, {facts['cores']} cores; load average {facts['load_average']:.1f} at the start; {known}"
    )


def markdown(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def report(name: str, facts: dict[str, Any], table: str, results: Iterable[Result], file: Path | None) -> None:
    """Print machine and table; write every value to ``file`` where one is given."""
    print(f"{statement(facts)}\n\n{table}")
    if file:
        file.parent.mkdir(parents=True, exist_ok=True)
        record = {"benchmark": name, "machine": facts, "results": [asdict(one) for one in results]}
        file.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def data_file(folder: Path, samples: int = 60_000) -> Path:
    """Return MNIST's file in ``HPCNN_DATA``; without it, or for fewer samples, one of random images of that shape."""
    staged = Path(os.environ.get("HPCNN_DATA", "")) / "mnist.npz"
    if staged.is_file() and samples == 60_000:
        return staged.absolute()
    import numpy as np  # here: a child's peak memory is never below what its parent had (getrusage(2), execve(2))

    draw = np.random.default_rng(1)
    sizes = {"train": samples, "test": samples // 6}
    arrays: dict[str, Any] = {f"x_{part}": draw.integers(0, 256, (n, 28, 28), np.uint8) for part, n in sizes.items()}
    arrays |= {f"y_{part}": np.arange(n, dtype=np.uint8) % 10 for part, n in sizes.items()}
    np.savez(folder / "random.npz", **arrays)
    return folder / "random.npz"
