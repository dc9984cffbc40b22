"""The networks of keras.applications by name: without the internet, and with a clear word for what cannot be built."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from hpcnn.models import registry
from hpcnn.models.applications import NONE, is_application
from hpcnn.util.errors import UsageError

keras = pytest.importorskip("keras")

MOBILE = "keras.applications:MobileNet"
SMALL = {"alpha": 0.25}


def test_which_names_are_of_keras() -> None:
    assert is_application(MOBILE)
    assert is_application("keras.applications.mobilenet:MobileNet")
    assert not is_application("keras.applicationsx:MobileNet")
    assert not is_application("my_net:MobileNet")
    assert not is_application("keras.applications")


def test_all_of_them_take_what_hpcnn_gives() -> None:
    """None is built here: the large ones have hundreds of megabytes of weights."""
    found = [value for value in vars(keras.applications).values() if inspect.isfunction(value)]
    assert len(found) >= 38
    for function in found:
        assert {"weights", "input_shape", "classes", "classifier_activation"} <= set(
            inspect.signature(function).parameters
        ), function.__name__


def test_it_is_keras_s_own_network_with_the_data_s_shape_and_classes() -> None:
    model = registry.build(MOBILE, input_shape=(32, 32, 1), classes=7, arguments=SMALL)
    expected = keras.applications.MobileNet((32, 32, 1), 0.25, weights=None, classes=7)
    assert model.output_shape == (None, 7)
    assert [weight.shape for weight in model.weights] == [weight.shape for weight in expected.weights]


def test_none_is_none() -> None:
    given = {**SMALL, "weights": NONE, "pooling": NONE, "classifier_activation": NONE}
    model = registry.build(MOBILE, input_shape=[32, 32, 3], classes=3, arguments=given)
    assert model.layers[-1].activation is keras.activations.linear


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        (MOBILE, {"input_shape": (28, 28, 1)}, "Input size must be at least 32x32"),
        ("keras.applications:InceptionV3", {"input_shape": (32, 32, 3)}, "Input size must be at least 75x75"),
        (MOBILE, {"input_shape": (5,)}, "takes images, input_shape (rows, columns, channels); the samples have (5,)"),
        (MOBILE, {"input_shape": {"a": (32, 32, 3)}}, "takes images"),
        (
            MOBILE,
            {"arguments": {"weights": "imagenet"}},
            "--model-arg weights: 'imagenet' is not valid; expected 'none'",
        ),
        (MOBILE, {"arguments": {"alfa": 1}}, "'alfa' is not known. Did you mean 'alpha'?"),
        (MOBILE, {"arguments": {"input_tensor": 1}}, "'input_tensor' is not known"),
        (
            MOBILE,
            {"input_shape": (32, 32, 3), "arguments": {"dropout": 2}},
            "cannot be built with input_shape=(32, 32, 3)",
        ),
        (
            MOBILE,
            {"input_shape": (32, 32, 3), "arguments": {"classifier_activation": "softmix"}},
            "cannot be built with",
        ),
        ("keras.applications:MobilNet", {}, "Did you mean 'keras.applications:MobileNet' or 'keras.applications:Mob"),
        ("keras.applications:mobilenet", {}, "'keras.applications:mobilenet' is not known"),
        ("keras.applications.mobilenet:preprocess_input", {}, "Valid: keras.applications.mobilenet:MobileNet."),
        ("keras.applications.nothing:Net", {}, "cannot import 'keras.applications.nothing'"),
    ],
)
def test_what_cannot_be_built_is_said(name: str, options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError) as caught:
        registry.build(name, **options)
    assert words in str(caught.value)
