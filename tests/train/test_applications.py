"""Networks of keras.applications train; an output that does not fit the data is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hpcnn.models.applications import NONE
from hpcnn.specs.train import TrainSpec
from hpcnn.util.errors import UsageError
from tests.train.launching import Train

keras = pytest.importorskip("keras")

MOBILE = "keras.applications:MobileNet"
SMALL = {"alpha": 0.25}
PHOTOS = TrainSpec(model=MOBILE, model_args=SMALL, data="own:photos", batch_size=8, epochs=1)


def test_it_trains(train: Train) -> None:
    result = train(PHOTOS).read_result() or {}
    assert result["status"] == "completed"
    assert "accuracy" in result["test"]


@pytest.mark.parametrize(
    ("data", "activation", "words"),
    [
        (
            "own:photos",
            NONE,
            "classifier_activation: 'linear' is not valid; expected softmax or sigmoid for data of cl",
        ),
        ("own:photos_of_things", "softmax", "'softmax' is not valid; expected sigmoid for data of several labels"),
        ("own:photos_of_prices", "softmax", "'softmax' is not valid; expected linear or relu for data of numbers"),
    ],
)
def test_an_output_that_does_not_fit_the_data_is_said(data: str, activation: str, words: str, train: Train) -> None:
    arguments = {**SMALL, "classifier_activation": activation}
    with pytest.raises(UsageError) as caught:
        train(replace(PHOTOS, model_args=arguments, data=data))
    assert words in str(caught.value)


def test_feature_maps_are_no_classes(train: Train) -> None:
    with pytest.raises(UsageError, match=r"--loss: the model has outputs of shape \(None, 1, 1, 256\) for 3 classes"):
        train(replace(PHOTOS, model_args={**SMALL, "include_top": False}))
