"""Builds an image into the cache: one build at a time, nothing half-written under an image's name.

Knows nothing of how progress is shown: it hands on the builder's output line by line.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shlex
import shutil
import signal
import subprocess
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from hpcnn.machine.container.cache import image_path
from hpcnn.machine.container.context import Context, context_of
from hpcnn.machine.container.machine import debian_mirror, find_debootstrap, find_runtime, needs_fakeroot, pip_files
from hpcnn.util.errors import HpcnnError
from hpcnn.version import __version__

Say = Callable[[str], None]

_TAIL = 15
# What the builder's output says of a failure -> what to do
_NO_ROOT = (
    "this user may not play root: let an administrator add a line for it to /etc/subuid and /etc/subgid "
    "(`apptainer config fakeroot --add USER`), or build on another machine"
)
_CAUSES = {
    r"No space left on device": "the disk is full: point APPTAINER_TMPDIR at a folder with 8 GB on a local disk",
    r"no mapping entry found in /etc/sub.id|mounted with noexec or nodev": _NO_ROOT,
    r"no such host|resolving host|resolve host|name resolution|Failed getting release file|Couldn't download|"
    r"ConnectionError|connection refused|i/o timeout": "what the image is made of was not reached over the network: "
    "build on a node with internet access",
    r"Killed|Cannot allocate memory": "memory ran out: building Horovod needs 2.3 GB for each compiler",
}


@dataclass(frozen=True)
class Plan:
    """A build that is ready to start: nothing of it is on disk yet. command is run in the folder ``folder``."""

    context: Context
    image: Path
    command: tuple[str, ...]

    @property
    def folder(self) -> Path:
        """Where the build happens, beside the image."""
        return self.image.with_suffix(".build")

    @property
    def log(self) -> Path:
        """All that the builder prints."""
        return self.image.with_suffix(".log")

    def shell(self) -> str:
        """Return the build as a line of shell."""
        return f"cd {shlex.quote(str(self.folder))} && {shlex.join(self.command)}"


def plan(kind: str) -> Plan:
    """Return the build of the image ``kind`` on this machine. Writes nothing.

    Raises UsageError for an unknown kind, and where this machine cannot build it.
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


def build(plan: Plan, say: Say, *, force: bool = False) -> Path:
    """Build the image, unless it is in the cache already (``force``: even then); return its path.

    say: gets every line that the builder prints. Raises HpcnnError with the end of the log where the build fails.
    """
    plan.image.parent.mkdir(parents=True, exist_ok=True)
    with _only_build(plan, say):
        if plan.image.exists() and not force:
            return plan.image
        shutil.rmtree(plan.folder, ignore_errors=True)
        plan.folder.mkdir(mode=0o700)  # pip's settings may hold a password
        try:
            plan.context.write(plan.folder)
            for name, data in pip_files(os.environ).items():
                (plan.folder / "pip").mkdir(exist_ok=True)
                (plan.folder / "pip" / name).write_bytes(data)
            _run(plan, say)
            (plan.folder / plan.image.name).replace(plan.image)
        finally:
            shutil.rmtree(plan.folder, ignore_errors=True)
    return plan.image


def copy_to(image: Path, target: Path) -> None:
    """Put an image at ``target`` as a whole: a second name for it on the same file system, else a copy."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        try:
            os.link(image, part)
        except OSError:
            shutil.copyfile(image, part)
            part.chmod(0o755)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


@contextlib.contextmanager
def _only_build(plan: Plan, say: Say) -> Iterator[None]:
    """Hold the lock of this image; wait for another process that builds it."""
    with plan.image.with_suffix(".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("==> another build of this image is running: waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _run(plan: Plan, say: Say) -> None:
    """Run the builder; its output goes into the log and to ``say``. An interrupted build leaves no process behind."""
    tail: deque[str] = deque(maxlen=_TAIL)
    with plan.log.open("w", encoding="utf-8") as log:
        print("$", plan.shell(), file=log, flush=True)
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
                    log.write(line)
                    log.flush()
                    tail.append(line.rstrip())
                    say(line.rstrip())
            except BaseException:
                _end(process)
                raise
    if process.returncode:
        raise _failure(plan, process.returncode, tail)


def _end(process: subprocess.Popen[str]) -> None:
    """End the builder and all that it started; it cleans its temporary folders on the first signal."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)


def _failure(plan: Plan, status: int, tail: deque[str]) -> HpcnnError:
    text = plan.log.read_text(encoding="utf-8")
    cause = next((advice for pattern, advice in _CAUSES.items() if re.search(pattern, text)), None)
    lines = [f"{plan.command[0]} build ended with exit status {status}. The end of its log:"]
    lines += [f"    {line}" for line in tail]
    if cause:
        lines.append(f"Likely cause: {cause}")
    return HpcnnError("\n".join([*lines, f"The whole log: {plan.log}"]))
