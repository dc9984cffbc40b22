"""Build a container image into the cache: one build at a time, and atomically.

Must not import the display of progress: a callback gets the builder's output line by line.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shlex
import shutil
import signal
import stat
import subprocess
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from hpcnn.machine.container.cache import image_path
from hpcnn.machine.container.context import Context, context_of
from hpcnn.machine.container.machine import debian_mirror, find_debootstrap, find_runtime, needs_fakeroot, pip_files
from hpcnn.util.cache_dir import check_file, digest_file, make_private, note_digest
from hpcnn.util.errors import HpcnnError
from hpcnn.util.files import open_own, replacing
from hpcnn.version import __version__

Log: TypeAlias = Callable[[str], None]

_TAIL = 15
# Pattern in the builder's output -> advice on the failure
_NO_ROOT = (
    "this user may not play root: let an administrator add a line for it to /etc/subuid and /etc/subgid "
    "(`apptainer config fakeroot --add USER`), or build on another machine"
)
_CAUSES = {
    r"No space left on device": "the disk is full: point APPTAINER_TMPDIR at a folder on a local disk with 8 GB, "
    "for the image gpu with 12 GB",
    r"no mapping entry found in /etc/sub.id|mounted with noexec or nodev": _NO_ROOT,
    r"no such host|resolving host|resolve host|name resolution|Failed getting release file|Couldn't download|"
    r"ConnectionError|connection refused|i/o timeout": "what the image is made of was not reached over the network: "
    "build on a node with internet access",
    r"Killed|Cannot allocate memory": "memory ran out: building Horovod needs 2.3 GB for each compiler",
}


@dataclass(frozen=True)
class Plan:
    """A build that has not started and has written no file. ``command`` runs in ``folder``."""

    context: Context
    image: Path
    command: tuple[str, ...]

    @property
    def folder(self) -> Path:
        """Return the folder of the build, beside the image."""
        return self.image.with_suffix(".build")

    @property
    def log(self) -> Path:
        """Return the file of the builder's output."""
        return self.image.with_suffix(".log")

    def shell(self) -> str:
        """Return the build as a shell command."""
        return f"cd {shlex.quote(str(self.folder))} && {shlex.join(self.command)}"


def plan(kind: str) -> Plan:
    """Return the build of the image ``kind`` on this machine. Writes nothing.

    Raises UsageError for an unknown kind, and on a machine that cannot build it.
    """
    context = context_of(kind)
    command = [find_runtime(), "build"]
    if needs_fakeroot():
        command.append("--fakeroot")
    command += ["--build-arg", f"hpcnn={__version__}"]
    if b"Bootstrap: debootstrap" in context.content[context.definition]:
        find_debootstrap()
        command += ["--build-arg", f"mirror={debian_mirror()}"]
    image = image_path(context)
    return Plan(context, image, (*command, image.name, context.definition))


def build(plan: Plan, log: Log, *, force: bool = False) -> Path:
    """Build the image, unless it is in the cache already (``force``: even then); return its path.

    log: gets every line of the builder's output. Raises HpcnnError, with the end of the log, if the build fails.
    """
    make_private(plan.image.parent)
    with _build_lock(plan, log):
        shutil.rmtree(plan.folder, ignore_errors=True)  # of a build that was killed, perhaps after its image was there
        if plan.image.exists() and not force:
            check_file(plan.image)
            return plan.image
        digest_file(plan.image).unlink(missing_ok=True)
        plan.folder.mkdir(mode=0o700)  # pip's settings may hold a password
        try:
            plan.context.write(plan.folder)
            for name, data in pip_files(os.environ).items():
                (plan.folder / "pip").mkdir(exist_ok=True)
                (plan.folder / "pip" / name).write_bytes(data)
            _run(plan, log)
            built = plan.folder / plan.image.name
            built.chmod(built.stat().st_mode & ~0o022)
            built.replace(plan.image)
            note_digest(plan.image)
        finally:
            shutil.rmtree(plan.folder, ignore_errors=True)
    return plan.image


def copy_to(image: Path, target: Path) -> None:
    """Put an image at ``target`` atomically: as a hard link on the same file system, else as a copy."""
    with replacing(target, executable=True, folders=True) as part:
        part.unlink()
        try:
            os.link(image, part)
        except OSError:
            with image.open("rb") as source, open_own(part, "xb") as copy:
                shutil.copyfileobj(source, copy)
            part.chmod(stat.S_IMODE(image.stat().st_mode))


@contextlib.contextmanager
def _build_lock(plan: Plan, log: Log) -> Iterator[None]:
    """Hold the lock of this image; wait for another process that builds it."""
    with open_own(plan.image.with_suffix(".lock"), "a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log("==> another build of this image is running: waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _run(plan: Plan, log: Log) -> None:
    """Run the builder; write its output to the log file and to ``log``. An interrupt ends all its processes."""
    tail: deque[str] = deque(maxlen=_TAIL)
    with plan.log.open("w", encoding="utf-8") as file:
        print("$", plan.shell(), file=file, flush=True)
        with subprocess.Popen(
            plan.command,
            cwd=plan.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        ) as process:
            try:
                for line in process.stdout or ():
                    file.write(line)
                    file.flush()
                    tail.append(line.rstrip())
                    log(line.rstrip())
            except BaseException:
                _end(process)
                raise
    if process.returncode:
        raise _failure(plan, process.returncode, tail)


def _end(process: subprocess.Popen[str]) -> None:
    """End the builder and its child processes; on SIGTERM it removes its temporary folders."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)


def _failure(plan: Plan, status: int, tail: deque[str]) -> HpcnnError:
    """Return the error of a failed build: exit status, end of the log, and the likely cause."""
    text = plan.log.read_text(encoding="utf-8")
    cause = next((advice for pattern, advice in _CAUSES.items() if re.search(pattern, text)), None)
    lines = [f"{plan.command[0]} build ended with exit status {status}. The end of its log:"]
    lines += [f"    {line}" for line in tail]
    if cause:
        lines.append(f"Likely cause: {cause}")
    return HpcnnError("\n".join([*lines, f"The whole log: {plan.log}"]))
