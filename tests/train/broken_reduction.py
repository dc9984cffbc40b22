"""many_trainings.py with Horovod's reduction taken out, to see that its absence would be seen.

``python -m tests.train.broken_reduction FOLDER CASE``: trains into FOLDER/unchecked, with hpcnn's own check taken out
too, and then into FOLDER/checked.
"""

from __future__ import annotations

import sys
from pathlib import Path
from unittest import mock

from hpcnn.parallel import open_strategy
from hpcnn.parallel.base import TaskEnvironment
from hpcnn.parallel.horovod import Horovod
from hpcnn.parallel.serial import SingleReplica
from hpcnn.train import loop
from tests.train import many_trainings


def main(folder: str, case: str) -> None:
    strategy = open_strategy("horovod", TaskEnvironment(2, cpus_per_task=1))
    Horovod.reduce = SingleReplica.reduce  # type: ignore[method-assign]
    with mock.patch.object(loop, "check_same_weights"):
        many_trainings.train_cases(strategy, Path(folder) / "unchecked", [case])
    many_trainings.train_cases(strategy, Path(folder) / "checked", [case])


if __name__ == "__main__":
    main(*sys.argv[1:])
