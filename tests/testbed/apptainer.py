"""Installs a real Apptainer beside a Debian that has none (Debian 12), for the tests of containers.

Debian's development suite has the package, built for a newer C library than an older Debian's. Both are unpacked into
a folder of their own, and the package's two programs are told to load the C library beside them: the system's own
stays as it is. What root does need in the system is its range of user ids for ``--fakeroot``, one line in /etc/subuid
and one in /etc/subgid. Needs root, the machine's own package sources, and the programs of PROGRAMS.

    python -m tests.testbed.apptainer install    # prints the program's path
    python -m tests.testbed.apptainer path       # exit status 1 where there is none
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable
from pathlib import Path

from hpcnn.machine.container.machine import debian_mirror
from tests.isolation import users_cache

# program -> Debian's package of it
PROGRAMS = {"apt-get": "apt", "dpkg-deb": "dpkg", "patchelf": "patchelf", "mksquashfs": "squashfs-tools"}
SUITE = "sid"
PACKAGES = ("apptainer", "libc6")
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
SUBORDINATE = ("/etc/subuid", "/etc/subgid")

_ONE_AT_A_TIME = threading.Lock()


class ApptainerError(Exception):
    """There can be no Apptainer here, or it does not run; the message says why."""


def program() -> Path | None:
    """Return the Apptainer of this machine: its own, or the one that ``install`` put into the cache; else None."""
    own = shutil.which("apptainer")
    kept = _folder() / "usr" / "bin" / "apptainer"
    return Path(own) if own else kept if kept.is_file() else None


def missing() -> str | None:
    """Return why Apptainer cannot be installed here, or None."""
    if os.geteuid() != 0:
        return "installing Apptainer for the tests needs root"
    if not Path("/etc/debian_version").exists() or not KEYRING.exists():
        return "Apptainer is installed for the tests on Debian only; elsewhere install it by the system's own means"
    absent = {name: package for name, package in PROGRAMS.items() if not shutil.which(name)}
    if absent:
        return f"missing programs: {', '.join(absent)} (Debian: {' '.join(absent.values())})"
    return None if debian_mirror() else "the machine's package sources (apt) name no mirror of Debian"


def install() -> Path:
    """Return the path of an Apptainer that runs, installed first where there is none. Raises ApptainerError."""
    with _ONE_AT_A_TIME:
        return _installed()


def _installed() -> Path:
    found = program()
    if found is not None and _runs(found):
        return found
    reason = missing()
    if reason:
        raise ApptainerError(reason)
    folder = _folder()
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="apptainer-", dir=folder.parent) as work:
        tree = Path(work) / "tree"
        _unpack(_download(Path(work)), tree)
        _configure(tree)
        _use_own_libc(tree, folder)
        _allow_fakeroot()
        tree.rename(folder)
    if not _runs(folder / "usr" / "bin" / "apptainer"):
        raise ApptainerError(f"what was installed in {folder} does not run: {folder}/usr/bin/apptainer version")
    return folder / "usr" / "bin" / "apptainer"


def _folder() -> Path:
    return users_cache() / "apptainer"


def _runs(apptainer: Path) -> bool:
    """Whether it starts, and runs a program in a container: an empty one that sees this machine's /usr."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("usr", "etc", "dev", "proc", "sys", "tmp"):
            (Path(folder) / name).mkdir()
        for name in ("bin", "lib", "lib64"):
            (Path(folder) / name).symlink_to(f"usr/{name}")
        words = [str(apptainer), "exec", "--no-mount", "home,cwd", "--bind", "/usr", folder, "/usr/bin/true"]
        return subprocess.run(words, capture_output=True, check=False, timeout=60).returncode == 0


def _download(work: Path) -> list[Path]:
    """Fetch the packages by an apt of its own, from the machine's mirror and with Debian's keys."""
    for name in ("state/lists/partial", "cache/archives/partial", "sources"):
        (work / name).mkdir(parents=True)
    (work / "status").touch()
    (work / "sources" / "debian.sources").write_text(
        f"Types: deb\nURIs: {debian_mirror()}\nSuites: {SUITE}\nComponents: main\nSigned-By: {KEYRING}\n"
    )
    options = {
        "Dir::State": work / "state",
        "Dir::State::status": work / "status",
        "Dir::Cache": work / "cache",
        "Dir::Etc::sourcelist": "/dev/null",
        "Dir::Etc::sourceparts": work / "sources",
        "APT::Sandbox::User": "root",
        "Acquire::Languages": "none",
        "Acquire::Check-Valid-Until": "false",  # a mirror may lag by weeks; what it has is signed all the same
    }
    apt = ["apt-get", "-q", *(f"-o{key}={value}" for key, value in options.items())]
    for words in (["update"], ["download", *PACKAGES]):
        ended = subprocess.run([*apt, *words], cwd=work, capture_output=True, text=True, check=False, timeout=600)
        if ended.returncode:
            raise ApptainerError(f"apt-get {' '.join(words)} failed:\n{ended.stdout}{ended.stderr}")
    return list(work.glob("*.deb"))


def _unpack(packages: Iterable[Path], tree: Path) -> None:
    """Unpack Apptainer into the folder, and its C library below it."""
    for package in packages:
        target = tree / "libc" if package.name.startswith("libc6") else tree
        target.mkdir(parents=True, exist_ok=True)
        subprocess.run(["dpkg-deb", "-x", package, target], check=True, timeout=120)


def _configure(tree: Path) -> None:
    """Let Apptainer find its files where it is, and let root run containers without all capabilities."""
    # The two programs look for etc and var below the folders that they take for their prefix.
    for prefix in (tree / "usr", tree / "usr" / "lib"):
        (prefix / "etc").symlink_to(os.path.relpath(tree / "etc", prefix))
        (prefix / "var" / "lib" / "apptainer" / "mnt" / "session").mkdir(parents=True)
    settings = tree / "etc" / "apptainer" / "apptainer.conf"
    text = settings.read_text()
    settings.write_text(re.sub(r"^root default capabilities = .*$", "root default capabilities = no", text, flags=re.M))


def _use_own_libc(tree: Path, folder: Path) -> None:
    """Make the programs load the C library that will be beside them once ``tree`` is ``folder``."""
    (loader,) = tree.glob("libc/usr/lib/*/ld-linux-*.so.*")
    library = folder / loader.parent.relative_to(tree)
    words = ["patchelf", "--set-interpreter", f"{library / loader.name}", "--force-rpath", "--set-rpath", f"{library}"]
    (starter,) = tree.glob("usr/lib/*/apptainer/bin/starter")
    for binary in (tree / "usr" / "bin" / "apptainer", starter):
        subprocess.run([*words, binary], check=True, timeout=60)


def _allow_fakeroot() -> None:
    """Give root a range of user and group ids behind those that are given already (subuid(5))."""
    for file in map(Path, SUBORDINATE):
        lines = file.read_text().splitlines() if file.exists() else []
        ranges = [line.split(":") for line in lines if line.count(":") == 2]
        if not any(owner in ("root", "0") for owner, _, _ in ranges):
            first = max([100_000, *(int(start) + int(count) for _, start, count in ranges)])
            file.write_text("\n".join([*lines, f"root:{first}:65536", ""]))


def main() -> int:
    """Do what the command line says; return the exit status."""
    if sys.argv[1:] not in (["install"], ["path"]):
        print("Usage: python -m tests.testbed.apptainer [install|path]", file=sys.stderr)
        return 2
    try:
        found = install() if sys.argv[1] == "install" else program()
    except ApptainerError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    print(found or "no Apptainer here: python -m tests.testbed.apptainer install", file=None if found else sys.stderr)
    return 0 if found else 1


if __name__ == "__main__":
    sys.exit(main())
