"""Build the networks of ``keras.applications``, which are given by name like a user's own function.

Their functions would fetch weights from the internet, and raise all kinds of exceptions for what they cannot build.
Must not import data sets or trainings.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from typing import TYPE_CHECKING

from hpcnn.util.errors import UsageError, unknown_value
from hpcnn.util.types import Json, UserFunction

if TYPE_CHECKING:
    from collections.abc import Mapping

    import keras

PREFIX = "keras.applications"

# How None is written in --model-arg and in TOML, which have no word for it.
NONE = "none"

# A keyword that takes a tensor, which no command line and no file has.
_NOT_GIVEN = ("input_tensor",)


def is_application(name: str) -> bool:
    """Return whether a model's name is one of ``keras.applications`` or of a module in it."""
    module, colon, _ = name.partition(":")
    return bool(colon) and (module == PREFIX or module.startswith(f"{PREFIX}."))


def build_application(name: str, arguments: Mapping[str, Json], offered: Mapping[str, Json]) -> keras.Model:
    """Build a network of ``keras.applications``, without weights from the internet.

    arguments: keywords of the user's, in which ``none`` is None. offered: ``input_shape`` and ``classes``, which the
    user's keywords replace. Raises UsageError, with Keras's own words where it has some, for what cannot be built.
    """
    import keras

    function = _function(name)
    taken = [keyword for keyword in inspect.signature(function).parameters if keyword not in _NOT_GIVEN]
    given = {key: None if value == NONE else value for key, value in arguments.items()}
    for keyword in given:
        if keyword not in taken:
            raise unknown_value(f"argument of model {name}", keyword, taken)
    keywords = {key: _as_keras_takes_it(value) for key, value in {**offered, **given}.items()}
    _check_weights(name, keywords.pop("weights", None))
    _check_shape(name, keywords.get("input_shape"))
    try:
        model = function(**keywords, weights=None)
    except Exception as error:  # whatever Keras raises is its word for arguments that it cannot build with
        values = ", ".join(f"{key}={value!r}" for key, value in keywords.items())
        raise UsageError(f"--model: {name} cannot be built with {values}: {_first_line(error)}") from error
    assert isinstance(model, keras.Model)
    return model


def _function(name: str) -> UserFunction:
    """Return the function of a network. Raises UsageError, naming similar ones, for anything else of that module."""
    module_name, _, function_name = name.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise UsageError(f"--model: {name!r}: cannot import {module_name!r}: {error}") from error
    functions = {key: value for key, value in vars(module).items() if _is_network(value)}
    if function_name not in functions:
        raise unknown_value("--model", name, [f"{module_name}:{key}" for key in functions])
    function: UserFunction = functions[function_name]
    return function


def _is_network(value: object) -> bool:
    return inspect.isfunction(value) and {"weights", "classes"} <= set(inspect.signature(value).parameters)


def _as_keras_takes_it(value: Json) -> Json:
    """Return a shape as a tuple: TOML and command lines have lists."""
    return tuple(value) if isinstance(value, list) else value


def _check_weights(name: str, value: Json) -> None:
    if value is not None:
        raise UsageError(
            f"--model-arg weights: {value!r} is not valid; expected {NONE!r}, which is what hpcnn takes without it: it "
            f"fetches nothing from the internet. Where there is internet, write the weights to a file once (python -c "
            f"\"import {PREFIX} as a; a.{name.partition(':')[2]}(weights='imagenet').save_weights('W.weights.h5')\") "
            "and start from it: --weights W.weights.h5"
        )


def _check_shape(name: str, shape: Json) -> None:
    """Raise UsageError for samples that are no images: Keras's own words for them differ from network to network."""
    if shape is None:
        return
    if not isinstance(shape, tuple) or len(shape) != 3 or not all(isinstance(size, int) for size in shape):
        raise UsageError(
            f"--model: {name} takes images, input_shape (rows, columns, channels); the samples have {shape!r}"
        )


def _first_line(error: Exception) -> str:
    """Return an exception in one line, with the version of Keras, whose words and limits they are."""
    keras = sys.modules["keras"]
    text = " ".join(str(error).split()) or type(error).__name__
    return f"Keras {keras.__version__}: {text}"
