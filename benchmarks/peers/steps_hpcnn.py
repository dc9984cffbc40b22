"""The steps of hpcnn for ``steps.py``: compiled once for each way, then done in rounds.

``python steps_hpcnn.py STRATEGY MODEL ARGUMENTS DATA.npz PRECISION BATCH [NAME=VALUE...]``. Way 0 is hpcnn. Under
Horovod, way 1 is without communication, way 2 sums the smallest gradient alone, and each NAME=VALUE of ``steps.py`` is
a way more.
"""

from __future__ import annotations

import functools
import json
import os
import sys
from typing import Any

from meeting import reduce as meet
from rounds import serve

from hpcnn.parallel import open_strategy
from hpcnn.parallel.base import Strategy, TaskEnvironment
from hpcnn.specs.complete import complete
from hpcnn.specs.train import TrainSpec
from hpcnn.train.plan import blocks, epoch_order
from hpcnn.util.tf_import import without_extras


def main(strategy: str, model: str, arguments: str, file: str, precision: str, batch: str, *settings: str) -> None:
    """Trace every way, and serve."""
    with without_extras():
        opened = open_strategy(strategy, TaskEnvironment.read(os.environ))
    if not opened.is_chief:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # one rank answers
    asked = TrainSpec(
        model=model,
        model_args=json.loads(arguments),
        data=file,
        batch_size=int(batch),
        epochs=1,
        optimizer="sgd",
        learning_rate=0.01,
        pixel_scale="raw",
        strategy=strategy,
        precision=precision,
        seed=1,
    )
    ways = [_steps(complete(asked), opened)]
    if strategy == "horovod":
        opened.communicates = False
        ways.append(_steps(complete(asked), opened))
        vars(opened)["reduce"] = functools.partial(meet, opened)
        ways.append(_steps(complete(asked), opened))
        del vars(opened)["reduce"]
        opened.communicates = True
    for setting in settings:
        name, _, value = setting.partition("=")
        os.environ[name] = value
        grouping = {"_grouping": TaskEnvironment.read(os.environ).grouping}  # an open strategy has read its own
        before = {key: vars(opened)[key] for key in grouping}
        vars(opened).update(grouping)
        ways.append(_steps(complete(asked), opened))
        vars(opened).update(before)
        del os.environ[name]

    def line() -> str:
        return opened.share(sys.stdin.readline() if opened.is_chief else None)

    serve(int(batch), lambda way, count: ways[way](count), line)


def _steps(spec: TrainSpec, strategy: Strategy) -> Any:
    """Return a function that does so many steps of a network; it has done two."""
    from hpcnn.train.assemble import assemble

    assembled = assemble(spec, strategy, None, lambda *facts: None, lambda line: None)
    order = epoch_order(assembled.samples, spec.seed or 0, 1)
    block = next(blocks(order, assembled.batch, strategy.size, strategy.replicas))

    def steps(count: int) -> None:
        part = block.part(0, count)
        assembled.steps.train(part, assembled.steps.no_sums())
        assembled.steps.synchronize(part)

    steps(2)
    return steps


if __name__ == "__main__":
    main(*sys.argv[1:])
