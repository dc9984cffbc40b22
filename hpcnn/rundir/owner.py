"""Own a run directory: one attempt at a time writes into it, from whichever machine.

The file ``owner-N.json`` of the highest N names the owner. It is made by a hard link, which fails where the file is
there already, on NFS and Lustre too; flock(2) does not reach every other machine. Nobody removes the file of an owner
that has died: the next owner links ``owner-N+1.json``, which one process alone can do, and removes both files when it
ends.

Whether an owner lives: on its own machine by its processes' numbers and start times; elsewhere by its Slurm job, and
without one by the time of the file, which a process of the owner renews every minute. Where nothing of this says that
it has died, it lives.

A launcher, its job script and rank 0 work for one attempt: the later ones *join* it. They know it by a word in their
environment, or as the owner is a parent of theirs. Must not import anything heavy: job scripts call it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from hpcnn.rundir.layout import OWNER_TEMPORARY, SCHEMA_VERSION, RefusedRunDir, utc_now
from hpcnn.util.files import WriteError, as_json, open_own, read_json, write_json
from hpcnn.util.types import Json
from hpcnn.util.user import user_name

# Says in the environment of an attempt's processes which one they belong to.
VARIABLE = "HPCNN_RUN_OWNER"

_NAME = re.compile(r"owner-(\d{1,9})\.json")
_SECONDS_BETWEEN_BEATS, _SECONDS_WITHOUT_BEAT = 60.0, 600.0
_TRIES = 50
# A file system without hard links.
_NO_LINKS = (errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.EMLINK)

# Tells whether a job of the scheduler waits or runs; None where the scheduler gives no answer.
JobLives = Callable[[str], "bool | None"]

# What this process owns: directory -> token.
_owned: dict[Path, str] = {}


class InUse(RefusedRunDir):
    """A run directory that another attempt is at work in."""


def _no_answer(job: str) -> bool | None:
    return None


@contextlib.contextmanager
def own(path: str | os.PathLike[str], job_lives: JobLives = _no_answer) -> Iterator[None]:
    """Own a run directory, which is there, while the block runs; join its owner where this process works for it.

    Raises InUse, which names the owner, where another attempt is at work in it.
    """
    folder = Path(path).absolute()
    if folder in _owned:
        yield
        return
    token, joined = _take(folder, os.getpid(), job_lives, beats=True)
    before = os.environ.get(VARIABLE)
    _owned[folder] = os.environ[VARIABLE] = token
    ended = threading.Event()
    threading.Thread(target=_beat, args=(folder, token, ended), daemon=True).start()
    try:
        yield
    finally:
        ended.set()
        del _owned[folder]
        if before is None:
            os.environ.pop(VARIABLE, None)
        else:
            os.environ[VARIABLE] = before
        if not joined:
            _release(folder, token)


def begin(path: str | os.PathLike[str], pid: int, job_lives: JobLives = _no_answer) -> str:
    """Make process ``pid`` of this machine, a job script, the owner of a run directory, or let it join.

    Returns the word for VARIABLE. Raises InUse.
    """
    return _take(Path(path).absolute(), pid, job_lives, beats=False)[0]


def end(path: str | os.PathLike[str], pid: int) -> None:
    """Let process ``pid``, a job script, give up a run directory; nothing happens where it has only joined."""
    folder = Path(path).absolute()
    _, owner = _newest(folder)
    first, *_ = [*_processes(owner), {}]
    if first.get("pid") == pid and lives(first):
        _release(folder, str(owner.get("token")))


def died_in(path: str | os.PathLike[str], job: str, node: str) -> bool:
    """Return whether a job, of which the scheduler says that it has ended, was at work in a run directory until then.

    job, node: the scheduler's names of the job and of its first node. On another cluster a job may have the same id.
    """
    _, owner = _newest(Path(path).absolute())
    return bool(owner) and (owner.get("job"), owner.get("node")) == (job, node)


def check_free(path: str | os.PathLike[str], job_lives: JobLives = _no_answer) -> None:
    """Raise InUse where another attempt is at work in a run directory."""
    folder = Path(path).absolute()
    file, owner = _newest(folder)
    if file is not None and not _is_ours(owner, os.getpid()) and (why := _why_alive(file, owner, job_lives)):
        raise InUse(why)


def check_kept(path: str | os.PathLike[str]) -> None:
    """Raise RefusedRunDir where a directory that this process has taken is another attempt's by now.

    Somebody has moved it away meanwhile, and begun anew in its place: what this process would write there by name would
    stand in the other one's record.
    """
    folder = Path(path).absolute()
    token = _owned.get(folder)
    if token is None or not folder.is_dir() or _file_of(folder, token) is not None:
        return
    _, other = _newest(folder)
    if other:
        raise RefusedRunDir(
            f"--run-dir: {str(folder)!r} was moved away meanwhile, and is in use by {_named(other)}: nothing more of "
            "this attempt is written there"
        )


def move(path: Path, target: Path, job_lives: JobLives = _no_answer) -> None:
    """Rename a directory in which nobody is at work. Raises InUse.

    It is taken for that moment: whoever would begin in it is refused, instead of going on in the other place.
    """
    try:
        token, _ = _take(path.absolute(), os.getpid(), job_lives, beats=True)
    except WriteError:  # another user's, whose folder above is shared; or a full disk, on which there is room to rename
        check_free(path, job_lives)
        path.rename(target)
        return
    try:
        path.rename(target)
    except BaseException:
        _release(path.absolute(), token)
        raise
    _release(target.absolute(), token)


def _take(folder: Path, pid: int, job_lives: JobLives, *, beats: bool) -> tuple[str, bool]:
    """Return the token of the owner, and whether it was there already and this process has joined it."""
    process = _process(pid)
    own_record: dict[str, Json] = {
        "schema": SCHEMA_VERSION,
        "token": secrets.token_hex(16),
        "command": _command() if beats else "a job script",
        "user": user_name(),
        "since": utc_now(),
        "job": _job(),
        "node": os.environ.get("SLURMD_NODENAME"),
        "restart": os.environ.get("SLURM_RESTART_COUNT") or "0",
        "beats": beats,
        "processes": [process],
    }
    for _ in range(_TRIES):
        file, owner = _newest(folder)
        if file is not None:
            if owner and _is_ours(owner, pid):
                joined = {**owner, "beats": beats or owner.get("beats"), "processes": [*_processes(owner), process]}
                write_json(file, joined, durable=False, folders=False)
                return str(owner["token"]), True
            if why := _why_alive(file, owner, job_lives):
                raise InUse(why)
        number = 1 + (_number(file) if file else 0)
        new = folder / f"owner-{number}.json"
        if _linked(new, own_record):
            if _newest(folder)[0] == new and not _followed(file, owner):
                return str(own_record["token"]), False
            new.unlink(missing_ok=True)  # meanwhile others have begun, from this number on or from the first one
        time.sleep(0.02)
    raise InUse(f"--run-dir: {str(folder)!r}: other processes begin and end in it all the time")


def _followed(file: Path | None, dead: Mapping[str, Json]) -> bool:
    """Return whether the file of a dead owner is another one's by now.

    Its successor may have ended and removed both files, and a third one may have begun with the same number. That one
    looks for later files after it has made its own, as this process does: one of the two sees the other.
    """
    now = None if file is None else read_json(file)
    return now is not None and now.get("token") != dead.get("token")


def _linked(file: Path, record: Mapping[str, Json]) -> bool:
    """Make a file, whole, with a record in it, by one process alone; return whether it was this one."""
    temporary = _temporary(file.parent)
    try:
        with open_own(temporary, "xb") as opened:
            opened.write(as_json(record).encode())
        os.link(temporary, file)
    except FileExistsError:
        # the answer of a file server may be lost, and the link made
        return bool((read_json(file) or {}).get("token") == record["token"])
    except FileNotFoundError:
        if file.parent.is_dir():
            return False  # the owner tidied up meanwhile
        raise WriteError(file, FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))) from None
    except OSError as error:
        if error.errno in _NO_LINKS and not isinstance(error, WriteError):
            return _created(file, record)
        raise error if isinstance(error, WriteError) else WriteError(file, error) from error
    finally:
        temporary.unlink(missing_ok=True)
    return True


def _created(file: Path, record: Mapping[str, Json]) -> bool:
    """As ``_linked``, on a file system without hard links: a reader may see the file empty for a moment."""
    try:
        opened = open_own(file, "xb")
    except WriteError as error:
        if error.errno == errno.EEXIST:
            return False
        raise
    try:
        with opened:
            opened.write(as_json(record).encode())
    except OSError as error:
        file.unlink(missing_ok=True)
        raise WriteError(file, error) from error
    return True


def _temporary(folder: Path) -> Path:
    return folder / f".{secrets.token_hex(8)}{OWNER_TEMPORARY}"


def _release(folder: Path, token: str) -> None:
    """Remove the files of an owner and of the dead ones before it; its own goes last, so that no number is free before.

    What cannot be removed is that of a dead owner soon. A directory may have been removed meanwhile.
    """
    with contextlib.suppress(OSError, RefusedRunDir):
        if own_file := _file_of(folder, token):
            for file in sorted(_files(folder), key=_number):
                if _number(file) <= _number(own_file):
                    file.unlink(missing_ok=True)


def _beat(folder: Path, token: str, ended: threading.Event) -> None:
    """Renew the time of the owner's file until the end, as the server of the files has it."""
    while not ended.wait(_SECONDS_BETWEEN_BEATS):
        with contextlib.suppress(OSError, RefusedRunDir):  # the next time, perhaps
            if file := _file_of(folder, token):
                os.utime(file)


def _file_of(folder: Path, token: str) -> Path | None:
    """Return the file of the owner with a token; one that will give way may follow it for a moment."""
    return next((file for file in _files(folder) if (read_json(file) or {}).get("token") == token), None)


def _newest(folder: Path) -> tuple[Path | None, dict[str, Json]]:
    """Return the file of the owner and what it says; nothing of a file that is not whole."""
    try:
        files = sorted(_files(folder), key=_number)
        return (files[-1], read_json(files[-1]) or {}) if files else (None, {})
    except OSError as error:
        raise RefusedRunDir(f"--run-dir: {str(folder)!r} cannot be read: {error.strerror}") from error


def _files(folder: Path) -> list[Path]:
    return [folder / name for name in os.listdir(folder) if _NAME.fullmatch(name)]  # noqa: PTH208  # names alone


def _number(file: Path) -> int:
    match = _NAME.fullmatch(file.name)
    return int(match.group(1)) if match else 0


def _why_alive(file: Path, owner: Mapping[str, Json], job_lives: JobLives) -> str:
    """Return what to say of an owner that lives, or may live; nothing for one that has died."""
    doubt = _doubt(file, owner, job_lives)
    if doubt is None:
        return ""
    said = f"--run-dir: {str(file.parent)!r} is in use by {_named(owner)}"
    if not doubt:
        return f"{said}; wait until it has ended, or name another directory"
    return f"{said}, as far as can be told from here: {doubt}. If you know that it has ended, remove {file.name} there"


def _named(owner: Mapping[str, Json]) -> str:
    """Return an owner for people."""
    processes = _processes(owner)
    if not processes:
        return "somebody whose file is not whole"
    job = f", job {owner['job']}" if owner.get("job") else ""
    where = f"process {processes[-1].get('pid')} on {processes[-1].get('host')}{job}"
    return f"{owner.get('command')}, {where}, of {owner.get('user')}, since {owner.get('since')}"


def _doubt(file: Path, owner: Mapping[str, Json], job_lives: JobLives) -> str | None:
    """Return None for an owner that has died, an empty text for one that lives, else why nobody knows."""
    known = [lives(process) for process in _processes(owner)]
    if any(known):
        return ""
    if known and None not in known:
        return None
    job, restart = owner.get("job"), owner.get("restart")
    if job and job == _job():
        if restart != (os.environ.get("SLURM_RESTART_COUNT") or "0"):
            return None  # this job, before Slurm put it into the queue again
    elif job:
        answer = job_lives(str(job))
        if answer is not None:
            return "" if answer else None
        return f"Slurm does not say whether job {job} has ended"
    age = _age(file)
    if owner.get("beats") or not owner:
        if age > _SECONDS_WITHOUT_BEAT:
            return None
        return f"its file was renewed {age:.0f} s ago, and it counts as ended after {_SECONDS_WITHOUT_BEAT:.0f} s"
    return "nothing on this machine knows its processes"


def _age(file: Path) -> float:
    """Return the seconds since a file was renewed, both by the clock of the file server."""
    probe = _temporary(file.parent)
    try:
        probe.touch(exist_ok=False)
        now = probe.stat().st_mtime
        probe.unlink()
        return max(now - file.stat().st_mtime, 0.0)
    except FileNotFoundError:
        return 0.0  # it has just been given up
    except OSError as error:
        raise WriteError(file, error) from error


def _is_ours(owner: Mapping[str, Json], pid: int) -> bool:
    """Return whether a process works for an owner: by its environment, or as a child of one of its processes."""
    if not owner:
        return False
    if os.environ.get(VARIABLE) == owner.get("token"):
        return True
    living = {process.get("pid") for process in _processes(owner) if lives(process)}
    return bool(living & set(_parents(pid)))


def _job() -> str | None:
    """Return the id of the job that this process is in, as the scheduler prints it: ``12_3`` for a task of an array."""
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{task}" if array and task else os.environ.get("SLURM_JOB_ID")


def _command() -> str:
    """Return which command this process is: of a user's script its name alone, whatever its words are."""
    program = Path(sys.argv[0]).name
    return f"hpcnn {' '.join(sys.argv[1:2])}" if program in ("hpcnn", "__main__.py") else program


def _processes(owner: Mapping[str, Json]) -> list[dict[str, Json]]:
    found = owner.get("processes")
    return [process for process in found if isinstance(process, dict)] if isinstance(found, list) else []


def this_process() -> dict[str, Json]:
    """Return what tells this process from every other one: its host, boot, name space, number and start."""
    return _process(os.getpid())


def _process(pid: int) -> dict[str, Json]:
    return {"host": socket.gethostname(), **_machine(), "pid": pid, "start": _stat(pid)[1]}


def _machine() -> dict[str, Json]:
    """Return the boot of this machine, and the name space in which its processes have their numbers."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
        return {"boot": boot, "namespace": str(Path("/proc/self/ns/pid").readlink())}
    except OSError:
        return {"boot": None, "namespace": None}


def lives(process: Mapping[str, Json]) -> bool | None:
    """Return whether a process lives; None where this machine cannot know."""
    here, host, pid = _machine(), socket.gethostname(), process.get("pid")
    if any(process.get(key) != value for key, value in here.items()):
        rebooted = process.get("host") == host and process.get("boot") != here["boot"]
        return False if rebooted and not host.startswith("localhost") else None
    if not isinstance(pid, int) or pid < 1:
        return None
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    state, start = _stat(pid)
    # of a process of another user, /proc may say nothing (its option hidepid)
    return start is None or (state not in ("Z", "X") and start == process.get("start"))


def _parents(pid: int) -> Iterator[int]:
    """Yield a process and its parents, as far as they can be seen."""
    while pid > 1:
        yield pid
        pid = _parent(pid)


def _parent(pid: int) -> int:
    fields = _fields(pid)
    return int(fields[1]) if fields else 0


def _stat(pid: int) -> tuple[str | None, str | None]:
    """Return the state and the start time of a process (proc(5)), None where the system does not say."""
    fields = _fields(pid)
    return (fields[0], fields[19]) if fields else (None, None)


def _fields(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return []
