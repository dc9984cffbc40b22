"""The climate network in small: a U-Net finds cyclones and rivers better than any threshold of one field does."""

from __future__ import annotations

import sys

import pytest

from hpcnn.specs.train import TrainSpec
from hpcnn.util.files import read_lines
from tests.train.launching import ROOT, Train

# Maps of 48 x 72; those of the test are the same for the network and the thresholds.
SIZES = {"fraction": "1/16"}
TRAINING, TEST = 128, 48
SPEC = TrainSpec(
    model="unet",
    model_args={"numfm": 8, "depth": 3},
    data="climate",
    data_args=SIZES,
    samples=TRAINING,
    test_samples=TEST,
    cache="memory",
    batch_size=8,
    epochs=9,
    learning_rate=0.004,
    class_weight={"sqrt": True},
)


def baseline(training: int, test: int) -> dict[str, float]:
    """Return the mean IoU of background alone and of the best thresholds, by the script of the documents."""
    sys.path.insert(0, str(ROOT / "docs" / "examples"))
    try:
        import climate_thresholds
    finally:
        sys.path.pop(0)
    found: dict[str, float] = climate_thresholds.measured(SIZES["fraction"], training, test)
    return found


def test_background_alone_is_accurate_and_finds_nothing() -> None:
    found = baseline(32, 12)
    assert found["background alone"] < 0.34
    assert found["background alone"] < found["thresholds"] < 0.8


@pytest.mark.long
def test_a_small_network_does_better_than_thresholds(train: Train) -> None:
    last = list(read_lines(train(SPEC).epochs(0)))[-1]["validation"]
    assert last["mean_iou"] > baseline(TRAINING, TEST)["thresholds"] + 0.05
