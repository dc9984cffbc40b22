"""Builds the source distribution and the wheel, and checks them as users meet them: what `make release` runs.

``release.py [FOLDER]`` writes both into FOLDER (dist). It fails, and names the files, where the wheel lacks a file of
the package or of what travels with it, or has one that git does not know; where the source distribution builds another
wheel; and where the wheel does not work in a bare environment outside the checkout.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

# Folders of the checkout that travel inside the wheel (pyproject.toml, force-include), and their place in it.
SHARED, SHARE = ("templates", "containers", "scaling_studies", "searches"), "hpcnn/_share"

# What a user tries first, and a text that the answer must have.
COMMANDS = {
    ("--help",): "scaling-report",
    ("models",): "psc-cnn-dropout",
    ("submit", "--dry-run"): "#!/usr/bin/env bash",
    ("submit", "--site", "narval", "--account", "def-prof", "--dry-run"): "#SBATCH --account=def-prof",
}


def main(folder: Path) -> None:
    """Build and check both; SystemExit with a message at the first fault."""
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        sdist, wheel = build("sdist", ROOT, work / "built"), build("wheel", ROOT, work / "built")
        files = contents(wheel)
        check_same("the wheel", dict.fromkeys(expected(tracked(ROOT))), dict.fromkeys(package_files(files)))
        again = build("wheel", unpacked(sdist, work), work / "again")
        check_same("the wheel that the source distribution builds", files, contents(again))
        try_out(wheel, work)
        folder.mkdir(parents=True, exist_ok=True)
        for file in (sdist, wheel):
            shutil.copy(file, folder)
            print(folder / file.name)


def build(kind: str, source: Path, folder: Path) -> Path:
    """Build a ``sdist`` or a ``wheel`` of ``source`` into ``folder``; return the file."""
    run([sys.executable, "-m", "build", f"--{kind}", "--no-isolation", "--outdir", folder, source])
    (built,) = folder.glob("*.whl" if kind == "wheel" else "*.tar.gz")
    return built


def tracked(checkout: Path) -> list[str]:
    """Return the names of the files that git knows."""
    return [name for name in run(["git", "-C", checkout, "ls-files", "-z"]).split("\0") if name]


def expected(names: Iterable[str]) -> set[str]:
    """Return what the wheel must have of the package and of what travels with it, given the names of a checkout."""
    known = set(names)
    shared = {f"{SHARE}/{name}" for name in known if name.partition("/")[0] in SHARED}
    return {name for name in known if name.startswith("hpcnn/")} | shared | {f"{SHARE}/containers/constraints.txt"}


def contents(wheel: Path) -> dict[str, bytes]:
    """Return every file of a wheel by name."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def package_files(names: Iterable[str]) -> list[str]:
    """Return the names without those of the wheel's metadata and of its man pages."""
    return [name for name in names if ".dist-info/" not in name and ".data/data/share/man/" not in name]


def check_same(what: str, wanted: Mapping[str, object], found: Mapping[str, object]) -> None:
    """Raise SystemExit naming the files that are missing, too many or different in ``found``."""
    faults = [f"  missing: {name}" for name in sorted(wanted.keys() - found.keys())]
    faults += [f"  not expected: {name}" for name in sorted(found.keys() - wanted.keys())]
    faults += [f"  different: {name}" for name in sorted(wanted.keys() & found.keys()) if wanted[name] != found[name]]
    if faults:
        raise SystemExit("\n".join([f"{what}:", *faults]))


def unpacked(sdist: Path, folder: Path) -> Path:
    """Unpack a source distribution into ``folder``; return its own folder there."""
    with tarfile.open(sdist) as archive:
        archive.extractall(folder)
    return folder / sdist.name.removesuffix(".tar.gz")


def try_out(wheel: Path, folder: Path) -> None:
    """Install the wheel into a new environment, and run what a user tries first there, in an empty folder."""
    environment, empty = folder / "environment", folder / "empty"
    empty.mkdir()
    run([sys.executable, "-m", "venv", environment])
    run([environment / "bin" / "pip", "install", "--quiet", "-c", ROOT / "constraints.txt", wheel])
    for words, text in COMMANDS.items():
        answer = run([environment / "bin" / "hpcnn", *words], empty)
        if text not in answer:
            raise SystemExit(f"hpcnn {' '.join(words)} does not print {text!r}, but:\n{answer}")


def run(words: Sequence[str | Path], folder: Path = ROOT) -> str:
    """Run a command in ``folder`` without variables of hpcnn or Python; return its output. SystemExit if it fails."""
    variables = {key: value for key, value in os.environ.items() if not key.startswith(("HPCNN_", "PYTHON"))}
    ended = subprocess.run(words, cwd=folder, env=variables, capture_output=True, text=True)
    if ended.returncode:
        raise SystemExit(f"{' '.join(map(str, words))} failed:\n{ended.stdout}{ended.stderr}")
    return ended.stdout


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "dist")
