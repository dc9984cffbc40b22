"""The energy of a node's processor packages, by Linux's power capping interface (RAPL).

A counter of a package begins again at its range, after minutes of full load, so somebody must read it more often than
that. Only root may read it on most machines. Must not import TensorFlow.
"""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import NamedTuple

_FOLDER = Path("/sys/class/powercap")
# A zone of its own; "intel-rapl:0:0" is a part of one, and "psys" is the whole platform, which counts packages again.
_ZONE = re.compile(r"intel-rapl:\d+")
_MICROJOULES = 1e6
# A counter of 2^32 units of 15.3 uJ, the smallest, begins again after two minutes at 500 W.
_SECONDS_OF_A_COUNTER = 60.0


class _Package(NamedTuple):
    counter: Path
    range: int  # uJ after which it begins again; 0 where that is unknown


class PackageEnergy:
    """The energy of all packages of this machine since this object was made."""

    def __init__(self, folder: Path = _FOLDER) -> None:
        """Find the packages. folder: of the power capping interface."""
        found = sorted(folder.iterdir()) if folder.is_dir() else []
        packages = [_package(zone) for zone in found if _ZONE.fullmatch(zone.name)]
        self._packages = [package for package in packages if package is not None]
        counters = [_number(package.counter) for package in self._packages]
        self._last = [counter for counter in counters if counter is not None]
        complete = len(self._last) == len(self._packages) and all(package.range for package in self._packages)
        self.readable = bool(self._packages) and complete
        self._read = time.monotonic()
        self._joules = 0.0

    def joules(self) -> float | None:
        """Return the energy so far; None where a counter cannot be read now.

        The next call counts what was spent meanwhile. After so long that a counter may have gone round more than once
        (as of a process that was stopped), nobody knows the energy any more.
        """
        if time.monotonic() - self._read > _SECONDS_OF_A_COUNTER:
            self.readable = False
        counters = [_number(package.counter) for package in self._packages] if self.readable else []
        known = [counter for counter in counters if counter is not None]
        if len(known) < len(self._packages) or not known:
            return None
        for package, now, last in zip(self._packages, known, self._last, strict=True):
            spent = now - last
            self._joules += (spent + package.range if spent < 0 else spent) / _MICROJOULES
        self._last, self._read = known, time.monotonic()
        return self._joules


def _package(zone: Path) -> _Package | None:
    """Return the counter of a zone that is a processor package."""
    try:
        if not (zone / "name").read_text(encoding="ascii", errors="replace").startswith("package"):
            return None
    except OSError:
        return None
    most = _number(zone / "max_energy_range_uj")
    return _Package(zone / "energy_uj", most + 1 if most else 0)


def _number(file: Path) -> int | None:
    try:
        return int(file.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
