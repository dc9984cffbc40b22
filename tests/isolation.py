"""The environment of the tests: what a user, a launcher or a shell has set does not reach them.

A profile of the user's for a site, a variable of a surrounding job, a locale or the width of a terminal would change
what hpcnn prints and does. The tests therefore run with settings of their own, from before the first of them is
collected: some read profiles when their file is imported.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path

# Where the real data sets are, and what was costly to make: the user's own, for the tests that ask for them. Names of
# their own, because pytest-xdist starts its workers from an environment that is isolated already.
DATA = "HPCNN_TEST_DATA"
CACHE = "HPCNN_TEST_CACHE"

_NOT_FOR_TESTS = (
    # hpcnn's own settings, and those of what it calls
    *("HPCNN_", "APPTAINER", "SINGULARITY", "HOROVOD_", "KERAS_", "TF_", "XLA_", "MPLBACKEND", "MPLCONFIGDIR"),
    # a surrounding job, and the launcher that started it
    *("SLURM_", "SBATCH_", "SRUN_", "SALLOC_", "OMPI_COMM_", "OMPI_UNIVERSE_", "PMI_", "PMIX_", "PRTE_"),
    # a surrounding make or git
    *("MAKE", "MFLAGS", "GIT_"),
    # what changes a shell, a terminal or Python
    *("BASH_ENV", "BASHOPTS", "CDPATH", "SHELLOPTS", "POSIXLY_CORRECT", "LANG", "LC_"),
    *("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "CLICOLOR", "PYTHONSAFEPATH", "PYTHONSTARTUP", "PYTHONWARNINGS"),
    # what an image of containers sets, and makes each of a thousand processes compile hpcnn again
    "PYTHONDONTWRITEBYTECODE",
)
_FOR_TESTS = ("HPCNN_TEST_",)


def isolate() -> Path:
    """Give this process and those that it starts an environment of their own; return the folder of its settings."""
    # Not pytest's folder, which is closed to others: some tests run hpcnn as another user.
    folder = Path(tempfile.mkdtemp(prefix="hpcnn-tests-"))
    folder.chmod(0o755)
    (folder / ".gitconfig").write_text("[safe]\n\tdirectory = *\n")  # a checkout that another user owns can be read
    kept = isolated(os.environ, folder)
    os.environ.clear()
    os.environ.update(kept)
    sys.dont_write_bytecode = False  # pytest keeps the tests that it has rewritten, too
    time.tzset()
    os.umask(0o022)
    # A shell starts its background jobs with SIGINT ignored, and so would be every program that a test interrupts.
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    return folder


def isolated(environment: Mapping[str, str], home: Path) -> dict[str, str]:
    """Return an environment whose user has set nothing and lives in ``home``."""
    kept = {
        name: value
        for name, value in environment.items()
        if not (name.startswith(_NOT_FOR_TESTS) or name.endswith("_NUM_THREADS")) or name.startswith(_FOR_TESTS)
    }
    caches = environment.get("XDG_CACHE_HOME") or str(Path(environment.get("HOME", home)) / ".cache")
    if environment.get("HPCNN_DATA"):
        kept.setdefault(DATA, environment["HPCNN_DATA"])
    kept.setdefault(CACHE, environment.get("HPCNN_CACHE") or f"{caches}/hpcnn")
    return kept | {
        "HOME": str(home),
        "HPCNN_CACHE": str(home / ".cache" / "hpcnn"),
        "HPCNN_SITE": "local",  # on a login node, too
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        # what pip, matplotlib and others keep there changes no result, and takes its time to make anew
        "XDG_CACHE_HOME": caches,
        "XDG_CONFIG_HOME": str(home / ".config"),
        "XDG_DATA_HOME": str(home / ".local" / "share"),
        "XDG_STATE_HOME": str(home / ".local" / "state"),
    }


def end(folder: Path) -> None:
    """Remove the folder of the settings."""
    shutil.rmtree(folder, ignore_errors=True)


def users_cache() -> Path:
    """Return the cache folder that hpcnn has outside the tests: containers that are too costly to build each time."""
    from hpcnn.util.cache_dir import cache_folder

    named = os.environ.get(CACHE)
    return Path(named) if named else cache_folder()
