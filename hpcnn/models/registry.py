"""Build models by name: an id of the zoo, or ``package.module:function`` of a user's own code.

Imports Keras only when a model is built. Must not import data sets or trainings.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
from typing import TYPE_CHECKING, Any

from hpcnn.models.applications import build_application, is_application
from hpcnn.util.errors import UsageError, unknown_value
from hpcnn.util.tf_import import import_tensorflow
from hpcnn.util.types import Json, UserFunction
from hpcnn.util.user_code import import_function
from hpcnn.zoo.registry import RECIPES, check_name, in_numpy, is_zoo, recipe

if TYPE_CHECKING:
    from collections.abc import Mapping

    import keras

    from hpcnn.models.numpy.networks import Network
    from hpcnn.zoo.recipe import Recipe


def build(
    name: str,
    *,
    input_shape: Json = None,
    classes: Json = None,
    arguments: Mapping[str, Json] | None = None,
) -> keras.Model:
    """Build a new model, uncompiled unless its function compiles it.

    ``name`` is an id of the zoo, whose recipe provides the arguments that are not given, or
    ``package.module:function``, found as Python finds it with the current directory first; that function gets
    ``input_shape`` (one sample, without the batch axis) and ``classes`` (outputs: one per class, or one per target of a
    regression) if its signature has them; dictionaries or tuples of these for several inputs or outputs. ``arguments``
    are further keywords. A network of ``keras.applications`` gets no weights from the internet, and ``none`` among its
    arguments is None.

    Raises UsageError for an unknown name, a function that cannot be imported, a keyword that it does not take, a result
    that is not a ``keras.Model``, a missing Keras, and values with which a network of the zoo cannot be built.
    Exceptions of a user's function pass unchanged.
    """
    if in_numpy(name):
        raise UsageError(f"--model: {name} is written in NumPy, and this needs a Keras model")
    _require_keras()
    given = dict(arguments or {})
    if is_zoo(name):
        model: keras.Model = _build_zoo(RECIPES[name], given, _shape_and_classes(input_shape, classes))
        return model
    check_name(name)
    if is_application(name):
        return build_application(name, given, _shape_and_classes(input_shape, classes))
    return _build_own(name, given, _shape_and_classes(input_shape, classes))


def build_numpy(
    name: str,
    *,
    input_shape: tuple[int, ...] | None = None,
    classes: int | None = None,
    arguments: Mapping[str, Json] | None = None,
    loss: str | None = None,
    seed: int = 1,
) -> Network:
    """Build a new network in NumPy of the zoo; arguments that are not given are the recipe's.

    Raises UsageError for a keyword that it does not take, and for values with which it cannot be built.
    """
    entry = recipe(name)
    own = {"loss": loss or entry.loss, "seed": seed}
    network: Network = _build_zoo(entry, dict(arguments or {}), _shape_and_classes(input_shape, classes) | own)
    return network


def _shape_and_classes(input_shape: Json, classes: Json) -> dict[str, Json]:
    given = {"input_shape": tuple(input_shape) if isinstance(input_shape, list) else input_shape, "classes": classes}
    return {key: value for key, value in given.items() if value is not None}


def _build_zoo(entry: Recipe, arguments: dict[str, Json], overrides: dict[str, Json]) -> Any:
    """Call the factory of a recipe: it returns a Keras model, or a network in NumPy."""
    module, _, function_name = entry.factory.partition(":")
    factory = getattr(importlib.import_module(module), function_name)
    keywords: dict[str, Json] = {"input_shape": entry.input_shape, "classes": entry.classes, **entry.arguments}
    keywords |= arguments | overrides
    _check_keywords(entry.id, factory, keywords)
    try:
        return factory(**keywords)
    except (TypeError, ValueError) as error:
        values = ", ".join(f"{key}={value!r}" for key, value in keywords.items())
        raise UsageError(f"--model: {entry.id} cannot be built with {values}: {error}") from error


def _build_own(name: str, arguments: dict[str, Json], offered: dict[str, Json]) -> keras.Model:
    """Call a user's function, with those of the ``offered`` keywords that it takes."""
    import keras

    function = import_function("--model", name)
    taken = inspect.signature(function).parameters
    keywords = {key: value for key, value in offered.items() if key in taken} | arguments
    _check_keywords(name, function, keywords)
    model = function(**keywords)
    if not isinstance(model, keras.Model):
        raise UsageError(f"--model: {name} returned {type(model).__qualname__}, not a keras.Model")
    return model


def _check_keywords(name: str, function: UserFunction, keywords: Mapping[str, Json]) -> None:
    """Raise UsageError unless ``function`` can be called with these keywords and no others."""
    signature = inspect.signature(function)
    open_ended = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in signature.parameters.values())
    for keyword in keywords:
        if keyword not in signature.parameters and not open_ended:
            raise unknown_value(f"argument of model {name}", keyword, signature.parameters)
    try:
        signature.bind(**keywords)
    except TypeError as error:
        raise UsageError(f"--model: {name}{signature}: {error}") from error


def _require_keras() -> None:
    try:
        import_tensorflow()
        importlib.import_module("keras")
    except ImportError as error:
        raise UsageError(
            f"building a model needs Keras and TensorFlow ({error}): pip install 'hpcnn[cpu]' or 'hpcnn[gpu]'"
        ) from error
