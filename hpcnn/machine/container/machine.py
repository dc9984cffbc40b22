"""Inspect the building machine: its container runtime, its mirror of Debian, its settings of pip.

Changes nothing.
"""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from hpcnn.util.errors import UsageError

RUNTIMES = ("apptainer", "singularity")

# Settings of pip for packages over the network; folders of this machine do not exist in an image.
_NETWORK = (
    "index-url",
    "extra-index-url",
    "find-links",
    "trusted-host",
    "proxy",
    "timeout",
    "default-timeout",
    "retries",
)
_FILES = ("cert", "client-cert")
_INSIDE = "/opt/hpcnn/pip"


def find_runtime(container_module: str = "") -> str:
    """Return the container runtime on PATH: apptainer or singularity.

    container_module: the module that provides it, if a site profile names one. Raises UsageError without a runtime.
    """
    for name in RUNTIMES:
        if shutil.which(name):
            return name
    module = container_module or "apptainer"
    raise UsageError(
        f"neither apptainer nor singularity is on PATH: load its module (`module load {module}`; a site's name for it "
        "is the key container_module of `hpcnn sites show SITE`), install it, or use a machine that has it"
    )


def find_debootstrap() -> str:
    """Return the path of debootstrap, which unpacks Debian. Raises UsageError if it is not installed."""
    found = shutil.which("debootstrap", path=f"{os.environ.get('PATH', os.defpath)}{os.pathsep}/usr/sbin")
    if found is None:
        raise UsageError(
            "debootstrap is not on PATH, and the images cpu and gpu start from it: `apt-get install debootstrap` or "
            "`dnf install debootstrap` as root, or build the image on another machine and copy it"
        )
    return found


def needs_fakeroot(kernel: Path = Path("/proc")) -> bool:
    """Return whether a build needs ``--fakeroot``: the user is not root, or a root without all capabilities.

    Apptainer gives the root of a build every capability of the kernel, and fails where it lacks one itself
    (capabilities(7)); the root of some virtual machines and containers does.
    """
    if os.geteuid() != 0:
        return True
    status = (kernel / "self" / "status").read_text()
    effective = next(line.split()[1] for line in status.splitlines() if line.startswith("CapEff:"))
    last = int((kernel / "sys" / "kernel" / "cap_last_cap").read_text())
    return int(effective, 16) != (1 << (last + 1)) - 1


def debian_mirror() -> str:
    """Return the mirror of Debian that this machine's apt uses; empty, for debootstrap's default, without apt."""
    words = ["apt-get", "indextargets", "--format", "$(LABEL) $(REPO_URI)", "Created-By: Packages"]
    lines = _output(words).splitlines()
    return next((line.split()[1] for line in lines if line.startswith("Debian ")), "")


def pip_files(environment: Mapping[str, str]) -> dict[str, bytes]:
    """Return ``pip.conf`` and its certificates, with which pip in the image reaches the same indexes as pip here."""
    settings = pip_settings(_output([sys.executable, "-m", "pip", "config", "list"], environment))
    files, lines = {}, ["[global]", "disable-pip-version-check = true"]
    for key, value in settings.items():
        if key in _FILES:
            files[f"{key}.pem"] = Path(value).read_bytes()
            value = f"{_INSIDE}/{key}.pem"
        lines.append(f"{key} = {value}")
    files["pip.conf"] = "\n".join([*lines, ""]).encode()
    return files


def pip_settings(listed: str) -> dict[str, str]:
    """Parse the output of ``pip config list``: return the settings for an image; variables (PIP_...) come first."""
    sections: dict[str, dict[str, str]] = {"global": {}, "install": {}, ":env:": {}}
    for line in listed.splitlines():
        name, _, value = line.partition("=")
        section, _, key = name.rpartition(".")
        if section in sections:
            sections[section][key] = str(ast.literal_eval(value))
    merged = {**sections["global"], **sections["install"], **sections[":env:"]}
    kept = {}
    for key in _NETWORK:
        words = [word for word in merged.get(key, "").split() if not word.startswith(("file:", "/", ".", "~"))]
        if words:
            kept[key] = " ".join(words)
    return kept | {key: merged[key] for key in _FILES if Path(merged.get(key) or os.devnull).is_file()}


def _output(command: list[str], environment: Mapping[str, str] | None = None) -> str:
    """Return the output of a command; empty if it failed."""
    try:
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ""
