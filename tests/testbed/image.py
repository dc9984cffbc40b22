"""A small container image for the tests: the system's own Debian with its Python and Open MPI, and nothing of hpcnn.

The environment of the tests is bound into it (``binds``). It is real in all that matters to a launch: a SIF file,
another root file system, an MPI library of its own. Takes a minute; kept in the cache.
"""

from __future__ import annotations

import hashlib
import platform
import shutil
import subprocess
import sys
from pathlib import Path

from hpcnn.machine.container.machine import debian_mirror, needs_fakeroot
from tests.isolation import users_cache
from tests.testbed.apptainer import ApptainerError

ROOT = Path(__file__).parents[2]
# Compressing takes as long as all the rest of a build.
_UNCOMPRESSED = "-noD -noF -noI -noX"


def build(apptainer: Path) -> Path:
    """Return the image, built first where the cache has none. Raises ApptainerError with the end of the log."""
    definition = _definition()
    key = hashlib.sha256(definition.encode()).hexdigest()[:12]
    image = users_cache() / "images" / f"hpcnn-testbed-{key}.sif"
    if image.exists():
        return image
    if shutil.which("debootstrap") is None:
        raise ApptainerError("missing programs: debootstrap (Debian: debootstrap)")
    work = image.with_suffix(".build")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    try:
        (work / "image.def").write_text(definition)
        how = [*(["--fakeroot"] if needs_fakeroot() else []), "--mksquashfs-args", _UNCOMPRESSED]
        words = ["nice", str(apptainer), "build", *how, "image.sif", "image.def"]
        ended = subprocess.run(words, cwd=work, capture_output=True, text=True, check=False, timeout=900)
        if ended.returncode:
            raise ApptainerError(f"the image was not built: {ended.stdout[-1000:]}{ended.stderr[-2000:]}")
        (work / "image.sif").rename(image)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return image


def binds() -> list[str]:
    """Return the folders of the checkout, of its environment, and of the Python below it."""
    folders = {str(ROOT), sys.prefix, sys.base_prefix}
    return sorted(folder for folder in folders if folder != "/usr")


def _definition() -> str:
    suite = platform.freedesktop_os_release().get("VERSION_CODENAME", "")
    return f"""\
Bootstrap: debootstrap
OSVersion: {suite}
MirrorURL: {debian_mirror()}
Include: python3,openmpi-bin

%environment
    export PATH={Path(sys.executable).parent}:$PATH LC_ALL=C.UTF-8
"""
