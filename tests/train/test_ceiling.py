"""Runs without communication: what they do not do, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hpcnn.specs.complete import complete
from hpcnn.specs.train import TrainSpec
from hpcnn.util.errors import UsageError
from tests.train.cases import CEILING, MOMENTUM


def test_it_does_not_evaluate_unless_it_trains() -> None:
    assert complete(MOMENTUM).evaluate is True
    assert complete(replace(MOMENTUM, evaluate=False)).evaluate is False
    assert complete(CEILING).evaluate is False


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"target_accuracy": 0.9}, "--target-accuracy: 0.9 is not valid; expected no value with --no-communication"),
        ({"checkpoint": True}, "--checkpoint: True"),
    ],
)
def test_what_asks_for_a_trained_network_is_refused(changes: dict[str, object], message: str) -> None:
    spec: TrainSpec = replace(CEILING, **changes)  # type: ignore[arg-type]
    with pytest.raises(UsageError) as caught:
        complete(spec)
    assert message in str(caught.value)
