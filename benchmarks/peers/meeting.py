"""hpcnn's ceiling with one thing added: the ranks meet in every step, to sum the smallest gradient and nothing else.

What it lacks to the ceiling is what waiting for the slower rank costs in every step, however few bytes are sent.
Started by ``hpcnn submit ... -- python meeting.py OPTION...`` with the options of ``hpcnn train``,
``--no-communication`` among them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

from hpcnn.cli.main import main
from hpcnn.parallel.horovod import Horovod


def reduce(strategy: Horovod, tensors: Sequence[Any], name: str = "gradient") -> list[Any]:
    """Sum the smallest tensor over the ranks, and leave each rank its own of the others."""
    own = list(tensors)
    smallest = min(range(len(own)), key=lambda number: int(own[number].shape.num_elements()))
    own[smallest] = strategy._hvd.allreduce(own[smallest], op=strategy._hvd.Sum, name=name)
    return own


if __name__ == "__main__":
    Horovod.reduce = reduce  # type: ignore[method-assign]
    main(["train", "--run-dir", os.environ["HPCNN_RUN_DIR"], "--strategy", "horovod", *sys.argv[1:]])
