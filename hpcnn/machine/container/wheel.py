"""Pack the running hpcnn as a wheel, from a checkout or an installation.

``pip wheel`` needs the sources, and a build tool from the network; an installed hpcnn has neither. A wheel is a
ZIP file with four small files of metadata (PyPA specifications, "Binary distribution format"). The same content gives
the same bytes, so that a cache's key can include the wheel. Must not import the build of images.
"""

from __future__ import annotations

import base64
import hashlib
import re
import zipfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from hpcnn.util.share import PACKAGE, constraints_file, share_dir
from hpcnn.version import __version__

_SHARED = ("templates", "containers", "scaling_studies", "searches")
_WHEEL = "Wheel-Version: 1.0\nGenerator: hpcnn\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest date of ZIP


def write_wheel(folder: Path) -> Path:
    """Write ``hpcnn-VERSION-py3-none-any.whl`` into ``folder`` and return it."""
    info = f"hpcnn-{__version__}.dist-info"
    content = dict(sorted(_package()))
    content[f"{info}/METADATA"] = _metadata()
    content[f"{info}/WHEEL"] = _WHEEL.encode()
    content[f"{info}/entry_points.txt"] = b"[console_scripts]\nhpcnn = hpcnn.cli.main:main\n"
    content[f"{info}/RECORD"] = _record(content, info)
    wheel = folder / f"hpcnn-{__version__}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in content.items():
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.external_attr = (0o755 if name.endswith(".sh") else 0o644) << 16
            archive.writestr(entry, data, zipfile.ZIP_DEFLATED)
    return wheel


def _package() -> Iterator[tuple[str, bytes]]:
    """Yield the name and content of every file, in the layout of hpcnn's own wheel (``pyproject.toml``)."""
    package = PACKAGE
    for file in _files(package):
        if file.relative_to(package).parts[0] != "_share":
            yield f"hpcnn/{file.relative_to(package).as_posix()}", file.read_bytes()
    for name in _SHARED:
        for file in _files(share_dir(name)):
            yield f"hpcnn/_share/{name}/{file.relative_to(share_dir(name)).as_posix()}", file.read_bytes()
    if not (share_dir("containers") / "constraints.txt").exists():
        yield "hpcnn/_share/containers/constraints.txt", constraints_file().read_bytes()


def _files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*") if file.is_file() and "__pycache__" not in file.parts)


def _metadata() -> bytes:
    """Return the installation's own metadata (dependencies, extras), with the version of the code that runs."""
    text = metadata.distribution("hpcnn").read_text("METADATA") or ""
    return re.sub(r"^Version: .*$", f"Version: {__version__}", text, count=1, flags=re.MULTILINE).encode()


def _record(content: dict[str, bytes], info: str) -> bytes:
    lines = [f"{name},sha256={_digest(data)},{len(data)}" for name, data in content.items()]
    return "\n".join([*lines, f"{info}/RECORD,,", ""]).encode()


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
