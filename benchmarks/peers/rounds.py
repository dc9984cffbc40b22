"""How a process of ``steps.py`` answers: it does rounds of steps when it is asked. Knows nothing of hpcnn."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable


def serve(batch: int, steps_of: Callable[[int, int], object], asked: Callable[[], str] = sys.stdin.readline) -> None:
    """Read ``WAY STEPS`` line by line until the input ends, and print the seconds and samples of each round.

    steps_of: called with a way's number and how many steps to do; the first call of each way, before anybody asks,
    traces it. batch: samples of a step. asked: returns the next line, empty at the end.
    """
    print(json.dumps({"ready": True}), flush=True)
    while line := asked():
        way, steps = map(int, line.split())
        begin = time.perf_counter()
        steps_of(way, steps)
        print(json.dumps({"seconds": time.perf_counter() - begin, "samples": steps * batch}), flush=True)
