"""The energy of a node's processor packages, by Linux's power capping interface (RAPL).

A counter of a package begins again at its range, after minutes of full load, so somebody must read it more often than
that. Only root may read it on most machines. Must not import TensorFlow.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

_FOLDER = Path("/sys/class/powercap")
# A zone of its own; "intel-rapl:0:0" is a part of one, and "psys" is the whole platform, which counts packages again.
_ZONE = re.compile(r"intel-rapl:\d+")
_MICROJOULES = 1e6


class _Package(NamedTuple):
    counter: Path
    range: int


class PackageEnergy:
    """The energy of all packages of this machine since this object was made."""

    def __init__(self, folder: Path = _FOLDER) -> None:
        """Find the packages. folder: of the power capping interface."""
        found = sorted(folder.iterdir()) if folder.is_dir() else []
        packages = [_package(zone) for zone in found if _ZONE.fullmatch(zone.name)]
        self._packages = [package for package in packages if package is not None]
        counters = [_number(package.counter) for package in self._packages]
        self._last = [counter for counter in counters if counter is not None]
        self.readable = bool(packages) and len(self._last) == len(self._packages)
        self._joules = 0.0

    def joules(self) -> float | None:
        """Return the energy so far; None where a counter cannot be read."""
        if not self.readable:
            return None
        for number, package in enumerate(self._packages):
            now = _number(package.counter)
            if now is None:
                self.readable = False
                return None
            spent = now - self._last[number]
            self._joules += (spent + package.range if spent < 0 else spent) / _MICROJOULES
            self._last[number] = now
        return self._joules


def _package(zone: Path) -> _Package | None:
    """Return the counter of a zone that is a processor package."""
    try:
        if not (zone / "name").read_text(encoding="ascii").startswith("package"):
            return None
    except OSError:
        return None
    return _Package(zone / "energy_uj", (_number(zone / "max_energy_range_uj") or 0) + 1)


def _number(file: Path) -> int | None:
    try:
        return int(file.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
