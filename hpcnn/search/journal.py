"""The file of Optuna's journal, which neither a kill nor a full disk spoils, and whose lock knows a dead holder.

Optuna's own backend leaves half a line where the disk is full, and appends the next one to it: nobody can read the
journal then, nor any trial in it. Its lock is a link to the journal, which says nothing of who holds it, and one that
leads nowhere (the folder was moved) is waited for without end. What both write is the same.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import time
from pathlib import Path
from typing import Any

from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock

from hpcnn.rundir.owner import lives, this_process
from hpcnn.util.errors import HpcnnError
from hpcnn.util.files import WriteError, no_follow
from hpcnn.util.lock import lock
from hpcnn.util.types import Json

# For a lock whose holder nobody here can see, as Optuna has it. A line takes milliseconds, and on a busy disk seconds.
_SECONDS_TO_BREAK = 30.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.001, 0.2
_BLOCK = 1 << 16


class Journal(JournalFileBackend):
    """The journal in ``file``: lines that are whole or not there."""

    def __init__(self, file: Path) -> None:
        self._lock_of_file = JournalLock(file)
        super().__init__(str(file), self._lock_of_file)

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Append some lines, all or none. Raises WriteError where there is no room for them."""
        content = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs).encode()
        path = Path(self._file_path)
        with self._lock_of_file.held():
            try:
                file = open(path, "a+b", buffering=0, opener=no_follow)  # noqa: SIM115  # closed below
            except OSError as error:
                raise WriteError(path, error) from error
            with file:
                before = _end_of_lines(file)
                try:
                    file.truncate(before)  # the half of a line that somebody was killed at, which nobody has read
                    while content:  # a full disk takes a part, and says at the next call that it is full
                        content = content[file.write(content) :]
                    os.fsync(file.fileno())
                except OSError as error:
                    with contextlib.suppress(OSError):
                        file.truncate(before)
                    raise WriteError(path, error) from error


class JournalLock(JournalFileSymlinkLock):
    """The link ``journal.log.lock``, which names its holder.

    One that was killed is found out at once on its own machine; elsewhere, a lock that is the same for half a minute
    counts as left.
    """

    def __init__(self, file: Path) -> None:
        super().__init__(str(file))
        self._link = Path(self._lock_file)
        self._own = ""

    @contextlib.contextmanager
    def held(self) -> Any:
        """Hold the lock while the block runs."""
        self.acquire()
        try:
            yield
        finally:
            self.release()

    def acquire(self) -> bool:
        """Wait for the lock. Raises WriteError where no link can be made."""
        own = json.dumps({**this_process(), "token": secrets.token_hex(8)})
        seen, since, pause = None, time.monotonic(), _FIRST_PAUSE
        while True:
            try:
                self._link.symlink_to(own)
                self._own = own
                return True
            except FileExistsError:
                holder = self._holder()
            except OSError as error:
                raise WriteError(self._link, error) from error
            if holder != seen:
                seen, since = holder, time.monotonic()
            if holder and (_is_dead(holder) or time.monotonic() - since > _SECONDS_TO_BREAK):
                self._break(holder)
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def release(self) -> None:
        """Give up the lock, unless others have taken this process for dead."""
        with contextlib.suppress(OSError):
            if self._holder() == self._own:
                self._link.unlink()

    def _holder(self) -> str | None:
        try:
            return os.readlink(self._link)  # noqa: PTH115  # a text, and no path
        except OSError:
            return None

    def _break(self, holder: str) -> None:
        """Remove the lock of a holder; of several processes that would, one at a time looks again before."""
        with contextlib.suppress(OSError, HpcnnError), lock(self._link.parent / "locks" / "journal", _LONGEST_PAUSE):
            if self._holder() == holder:
                self._link.unlink()


def _is_dead(holder: str) -> bool:
    """Return whether this machine knows that the process of a lock has ended."""
    try:
        process: Json = json.loads(holder)
    except ValueError:  # that of Optuna's own lock, which an earlier hpcnn used
        return False
    return isinstance(process, dict) and lives(process) is False


def _end_of_lines(file: Any) -> int:
    """Return where the last whole line of a file ends."""
    end = os.fstat(file.fileno()).st_size
    while end:
        start = max(end - _BLOCK, 0)
        place = os.pread(file.fileno(), end - start, start).rfind(b"\n")
        if place >= 0:
            return start + place + 1
        end = start
    return 0
