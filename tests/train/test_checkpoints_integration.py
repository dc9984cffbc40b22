"""Checkpoints that several replicas wrote together."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hpcnn.rundir.layout import RunDir
from tests.train.cases import MOMENTUM
from tests.train.checkpoints import checks_out


@pytest.mark.mpi
@pytest.mark.slow
@pytest.mark.parametrize(("setup", "case"), [("mirrored", "dropout"), ("horovod-2", "sync-batch-norm")])
def test_a_checkpoint_of_several_replicas_loads_without_hpcnn(
    setup: str, case: str, trained: Callable[[str], Path]
) -> None:
    checks_out(RunDir(trained(setup) / case), MOMENTUM)
