"""One option of ``compile`` or of a layer at a time: the weights are those of Keras's own ``train_on_batch``.

The table of rows is ``tests/user/options.py``. Every row is trained with the rewrites that hpcnn takes, by one process,
by two replicas of each strategy of TensorFlow and by two Horovod ranks, on the same batches.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.train.launching import ROOT, USER, Submit

pytest.importorskip("tensorflow")
sys.path.insert(0, str(USER))  # where `--model options:build` finds it
from options import LONG, OPTIMIZED, OPTIONS

pytestmark = [pytest.mark.mpi, pytest.mark.slow]

SETUPS = {"serial": 1, "mirrored": 1, "multiworker": 2, "horovod": 2}
OF_TENSORFLOW = ("mirrored", "multiworker")
ROWS = [
    pytest.param(setup, row, marks=[pytest.mark.long] if row in LONG.get(setup, ()) else [])
    for setup in SETUPS
    for row in (OPTIMIZED if setup in OF_TENSORFLOW else OPTIONS)
]
# What several replicas cannot do as one process does, and are refused: (set-up, row) -> the reason.
REFUSED = {
    **{(s, "ema that overwrites"): "cannot apply an optimizer with ema_overwrite_frequency=2" for s in OF_TENSORFLOW},
    **{(s, "accumulation"): "cannot apply an optimizer with gradient_accumulation_steps=2" for s in OF_TENSORFLOW},
    ("horovod", "ignored class"): "give the whole neither as a mean nor as a sum",
    **{(s, "added loss, sum"): "give the whole neither as a mean nor as a sum" for s in OF_TENSORFLOW},
    ("horovod", "added loss, sum"): "give the whole neither as a mean nor as a sum",
}
# Measured: 3e-6 for RMSprop and 9e-7 for Adam, which divide small gradients by their own size; 2e-7 for the others.
TOLERANCE = 5e-6

Weights = Any
Trained = Callable[[str], Weights]


@pytest.fixture(scope="module")
def trained(submit: Submit, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Return a function that gives all weights of a set-up on rank 0, and trains them when first asked."""

    @functools.cache
    def weights(setup: str) -> Weights:
        folder: Path = tmp_path_factory.mktemp(setup)
        program = (sys.executable, "-m", "tests.train.option_trainings", setup, folder / "weights")
        result = submit(folder / "job", SETUPS.get(setup, 1), "--", *program, PYTHONPATH=str(ROOT))
        assert result.returncode == 0, result.stdout + result.stderr
        return dict(np.load(folder / "weights" / "rank0.npz"))

    return weights


@pytest.mark.parametrize(("setup", "row"), ROWS)
def test_an_option_trains_as_keras_does_or_is_refused(setup: str, row: str, trained: Trained) -> None:
    found, expected = trained(setup), trained("keras")
    if (setup, row) in REFUSED:
        assert REFUSED[setup, row] in str(found[f"{row}/refused"])
        return
    names = [name for name in expected if name.startswith(f"{row}/")]
    assert names
    assert max(float(np.abs(found[name] - expected[name]).max()) for name in names) <= TOLERANCE


def test_the_rows_differ_from_each_other(trained: Trained) -> None:
    """An option without effect would pass every comparison. These rows have the same network and first weights."""
    plain = trained("keras")["sgd/0"]
    for row in ("momentum", "nesterov", "weight decay", "clipnorm", "clipvalue", "global clipnorm", "ema", "schedule"):
        assert float(np.abs(trained("keras")[f"{row}/0"] - plain).max()) > 1e-5, row
