"""Run a command of another program to its end, without input, and take what it prints."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence


def captured(
    command: Sequence[str],
    environment: Mapping[str, str],
    seconds: float | None,
    *,
    keep_open: Sequence[int] = (),
    own_session: bool = False,
) -> subprocess.CompletedProcess[str]:
    """Return how a command ended, and its text; bytes that are no text are replaced.

    seconds: how long it may take, None for any time. keep_open: descriptors that it inherits. own_session: whether
    neither Ctrl-C nor the end of the terminal reaches it. Raises OSError for a command that cannot be run, and
    subprocess.TimeoutExpired for one that takes longer.
    """
    return subprocess.run(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=seconds,
        check=False,
        pass_fds=keep_open,
        start_new_session=own_session,
    )
