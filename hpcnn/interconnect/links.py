"""Links between ranks: latency and bandwidth, known by name, given as numbers, or measured.

A known bandwidth is the line rate, which no message exceeds; a known latency is stated with its source. Both are
for a first guess; a measurement on the machine itself is better.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from hpcnn.util.errors import UsageError, bad_value, unknown_value
from hpcnn.util.files import parse_json
from hpcnn.util.types import Json


@dataclass(frozen=True)
class Link:
    """A link in the Hockney model: a message of n bytes takes ``alpha`` + n / ``beta`` seconds.

    alpha: latency of one message, in seconds. beta: bandwidth of one direction, in bytes/s. source: where the two
    numbers are from, for people. (R. W. Hockney, Parallel Computing 20, 1994.)
    """

    name: str
    alpha: float
    beta: float
    source: str

    def __str__(self) -> str:
        return f"{self.name} (alpha {self.alpha * 1e6:g} us, beta {self.beta / 1e9:g} GB/s)"


# Latency of one step of a ring in protocol Simple, the one for large messages: hwLat in src/graph/tuning.cc of
# NCCL 2.8. NCCL itself uses it to choose an algorithm.
NCCL_NETWORK, NCCL_PCIE, NCCL_NVLINK = 9.6e-6, 5.7e-6, 3.4e-6
_NCCL = "alpha: one ring step in NCCL 2.8 (src/graph/tuning.cc)"
_TCP = "alpha: assumed, the order of MPI over TCP"


def _known(name: str, alpha: float, gigabytes: float, rate: str, latency: str) -> Link:
    return Link(name, alpha, gigabytes * 1e9, f"beta: {rate}; {latency}")


LINKS = {
    known.name: known
    for known in (
        _known("ethernet-1g", 50e-6, 0.125, "line rate, 1 Gbit/s (IEEE 802.3ab)", _TCP),
        _known("ethernet-10g", 30e-6, 1.25, "line rate, 10 Gbit/s (IEEE 802.3ae)", _TCP),
        _known("roce-25g", NCCL_NETWORK, 3.125, "line rate, 25 Gbit/s (IEEE 802.3by)", _NCCL),
        _known("roce-50g", NCCL_NETWORK, 6.25, "line rate, 50 Gbit/s (IEEE 802.3cd)", _NCCL),
        _known("roce-100g", NCCL_NETWORK, 12.5, "line rate, 100 Gbit/s (IEEE 802.3bj)", _NCCL),
        _known("infiniband-edr", NCCL_NETWORK, 12.5, "data rate 4X EDR, 100 Gbit/s (InfiniBand roadmap)", _NCCL),
        _known("infiniband-hdr", NCCL_NETWORK, 25.0, "data rate 4X HDR, 200 Gbit/s (InfiniBand roadmap)", _NCCL),
        _known("infiniband-ndr", NCCL_NETWORK, 50.0, "data rate 4X NDR, 400 Gbit/s (InfiniBand roadmap)", _NCCL),
        _known("omni-path", NCCL_NETWORK, 12.5, "line rate, 100 Gbit/s (Omni-Path 100 series)", _NCCL),
        _known("slingshot-11", NCCL_NETWORK, 25.0, "line rate, 200 Gbit/s (HPE Slingshot 11)", _NCCL),
        _known("aries", NCCL_NETWORK, 10.2, "injection bandwidth of a node (Cray XC Series Network)", _NCCL),
        _known("pcie3", NCCL_PCIE, 15.75, "line rate of 16 lanes (PCI Express 3.0)", _NCCL),
        _known("pcie4", NCCL_PCIE, 31.5, "line rate of 16 lanes (PCI Express 4.0)", _NCCL),
        _known("nvlink1", NCCL_NVLINK, 80.0, "4 links of 20 GB/s (NVIDIA P100 white paper)", _NCCL),
        _known("nvlink2", NCCL_NVLINK, 150.0, "6 links of 25 GB/s (NVIDIA V100 white paper)", _NCCL),
        _known("nvlink3", NCCL_NVLINK, 300.0, "12 links of 25 GB/s (NVIDIA A100 white paper)", _NCCL),
        _known("nvlink4", NCCL_NVLINK, 450.0, "18 links of 25 GB/s (NVIDIA H100 white paper)", _NCCL),
    )
}


def link(text: str, option: str = "--network") -> Link:
    """Return the link that ``text`` names: one of LINKS, ``alpha=SECONDS,beta=BYTES_PER_SECOND``, or a JSON file.

    The file holds the numbers ``alpha_seconds`` and ``beta_bytes_per_second``. Raises UsageError, which names
    ``option``, for any other text.
    """
    if text in LINKS:
        return LINKS[text]
    if text.endswith(".json"):
        return _measured(Path(text), option)
    if "=" in text:
        return _given(text, option)
    forms = ["alpha=SECONDS,beta=BYTES_PER_SECOND", "FILE.json"]
    raise unknown_value(option, text, LINKS, forms=forms, see="hpcnn predict --help")


def _given(text: str, option: str) -> Link:
    expected = "alpha=SECONDS,beta=BYTES_PER_SECOND, as in alpha=5e-6,beta=3e9"
    pairs = dict(pair.partition("=")[::2] for pair in text.replace(" ", "").split(","))
    if set(pairs) != {"alpha", "beta"}:
        raise bad_value(option, text, expected)
    try:
        alpha, beta = float(pairs["alpha"]), float(pairs["beta"])
    except ValueError:
        raise bad_value(option, text, expected) from None
    return _checked(Link("given", alpha, beta, "given on the command line"), option, text)


def _measured(file: Path, option: str) -> Link:
    expected = "a JSON file with the numbers alpha_seconds and beta_bytes_per_second"
    try:
        record: Json = parse_json(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{option}: {str(file)!r} cannot be read ({error.strerror})") from error
    except ValueError:
        raise bad_value(option, str(file), expected) from None
    fields = record if isinstance(record, dict) else {}
    alpha, beta = _number(fields.get("alpha_seconds")), _number(fields.get("beta_bytes_per_second"))
    if alpha is None or beta is None:
        raise bad_value(option, str(file), expected)
    return _checked(Link(file.stem, alpha, beta, f"measured, {file.name}"), option, str(file))


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _checked(found: Link, option: str, text: str) -> Link:
    if not (0 <= found.alpha < math.inf and 0 < found.beta < math.inf):
        raise bad_value(option, text, "alpha of at least 0 seconds and beta above 0 bytes/s")
    return found
