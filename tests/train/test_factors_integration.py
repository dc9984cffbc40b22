"""Gradients of wide dense layers between real ranks: which layers' factors are sent."""

from __future__ import annotations

import json

import pytest

from tests.train.launching import Trained


@pytest.mark.mpi
@pytest.mark.slow
@pytest.mark.parametrize(("setup", "layers"), [("serial", 0), ("horovod-2", 2)])
def test_the_record_names_the_layers_whose_factors_are_sent(setup: str, layers: int, trained: Trained) -> None:
    recorded = json.loads((trained(setup) / "factors" / "provenance.json").read_text())
    assert len(recorded["model"]["factored"]) == layers
