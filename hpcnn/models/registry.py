"""Models by name: an id of the zoo, or ``package.module:function`` of a user's own code.

Importing this module costs nothing; Keras is imported when a model is built. Knows nothing of data or
training.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpcnn import pickled
from hpcnn.errors import UsageError, bad_value, unknown_value
from hpcnn.models import recipes_exercises, recipes_psc, recipes_scinet, recipes_scratch, recipes_wolter
from hpcnn.quiet import import_tensorflow

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import keras

    from hpcnn.models.recipe import Recipe
    from hpcnn.scratch.networks import Network

RECIPES: dict[str, Recipe] = {
    entry.id: entry
    for module in (recipes_scratch, recipes_scinet, recipes_psc, recipes_wolter, recipes_exercises)
    for entry in module.RECIPES
}

_OWN = "package.module:function"


def is_zoo(name: str) -> bool:
    """Say whether ``name`` is an id of the zoo (and not a user's own function)."""
    return name in RECIPES


def in_numpy(name: str) -> bool:
    """Say whether ``name`` is a network of the zoo that is written in NumPy, and trained by ``hpcnn.scratch``."""
    return is_zoo(name) and RECIPES[name].framework == "numpy"


def check_name(name: str) -> None:
    """Raise UsageError for a ``name`` that is neither an id of the zoo nor ``package.module:function``."""
    if ":" not in name and not is_zoo(name):
        raise unknown_value("--model", name, [*RECIPES, _OWN])


def check_arguments(name: str, arguments: Mapping[str, Any]) -> None:
    """Raise UsageError for a keyword that a network of the zoo has not. Says nothing of any other network.

    Reads the factory's source, so that a login node without Keras finds the mistake, and not the job.
    """
    if not arguments or not is_zoo(name):
        return
    module, _, function = RECIPES[name].factory.partition(":")
    origin = getattr(importlib.util.find_spec(module), "origin", None)
    tree = ast.parse(Path(str(origin)).read_text(encoding="utf-8"))
    factory = next(node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == function)
    valid = [argument.arg for argument in (*factory.args.args, *factory.args.kwonlyargs)]
    for keyword in arguments:
        if keyword not in valid:
            raise unknown_value(f"argument of model {name}", keyword, valid)


def recipe(id: str) -> Recipe:
    """Return the recipe of an id of the zoo. UsageError for any other name."""
    if id not in RECIPES:
        raise unknown_value("--model", id, RECIPES)
    return RECIPES[id]


def keywords(name: str) -> tuple[str, ...] | None:
    """Return the keywords of a network of the zoo, read from the source of its factory, which imports Keras.

    None where they cannot be told: a user's own function, or one that takes any keyword.
    """
    if not is_zoo(name):
        return None
    module, _, function_name = RECIPES[name].factory.partition(":")
    found = importlib.util.find_spec(module)
    assert found is not None
    assert found.origin is not None
    for node in ast.parse(Path(found.origin).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef) and node.name == function_name:
            taken = (*node.args.args, *node.args.kwonlyargs)
            return None if node.args.kwarg else tuple(argument.arg for argument in taken)
    return None


def build(
    name: str,
    *,
    input_shape: Any = None,
    classes: Any = None,
    arguments: Mapping[str, Any] | None = None,
) -> keras.Model:
    """Return a new model, uncompiled unless its function compiles it.

    ``name`` is an id of the zoo, whose recipe gives what is not given here, or ``package.module:function``,
    found as Python finds it with the current directory first; that function gets ``input_shape`` (one sample,
    without the batch axis) and ``classes`` (outputs: one a class, or one a target of a regression) if its signature
    has them; dictionaries or tuples of these for several inputs or outputs. ``arguments`` are further keywords.

    UsageError when the name is unknown, the function cannot be imported, a keyword is not the function's, or
    what it returns is not a ``keras.Model``; when Keras is not installed; when a network of the zoo cannot be
    built with these values. What goes wrong inside a user's function is raised as it is.
    """
    if in_numpy(name):
        raise UsageError(f"--model: {name} is written in NumPy, and this needs a Keras model")
    _require_keras()
    given = dict(arguments or {})
    if is_zoo(name):
        model: keras.Model = _build_zoo(RECIPES[name], given, _shape_and_classes(input_shape, classes))
        return model
    check_name(name)
    return _build_own(name, given, _shape_and_classes(input_shape, classes))


def build_numpy(
    name: str,
    *,
    input_shape: tuple[int, ...] | None = None,
    classes: int | None = None,
    arguments: Mapping[str, Any] | None = None,
    loss: str | None = None,
    seed: int = 1,
) -> Network:
    """Return a new network of the zoo that is written in NumPy; what is not given is the recipe's.

    UsageError when it has no such keyword or cannot be built with these values.
    """
    entry = recipe(name)
    own = {"loss": loss or entry.loss, "seed": seed}
    network: Network = _build_zoo(entry, dict(arguments or {}), _shape_and_classes(input_shape, classes) | own)
    return network


def _shape_and_classes(input_shape: Any, classes: Any) -> dict[str, Any]:
    given = {"input_shape": tuple(input_shape) if isinstance(input_shape, list) else input_shape, "classes": classes}
    return {key: value for key, value in given.items() if value is not None}


def _build_zoo(entry: Recipe, arguments: dict[str, Any], overrides: dict[str, Any]) -> Any:
    module, _, function_name = entry.factory.partition(":")
    factory = getattr(importlib.import_module(module), function_name)
    keywords: dict[str, Any] = {"input_shape": entry.input_shape, "classes": entry.classes, **entry.arguments}
    keywords |= arguments | overrides
    _check_keywords(entry.id, factory, keywords)
    try:
        return factory(**keywords)
    except (TypeError, ValueError) as error:
        values = ", ".join(f"{key}={value!r}" for key, value in keywords.items())
        raise UsageError(f"--model: {entry.id} cannot be built with {values}: {error}") from error


def _build_own(name: str, arguments: dict[str, Any], offered: dict[str, Any]) -> keras.Model:
    import keras

    function = import_function("--model", name)
    taken = inspect.signature(function).parameters
    keywords = {key: value for key, value in offered.items() if key in taken} | arguments
    _check_keywords(name, function, keywords)
    model = function(**keywords)
    if not isinstance(model, keras.Model):
        raise UsageError(f"--model: {name} returned {type(model).__qualname__}, not a keras.Model")
    return model


def import_function(option: str, name: str) -> Callable[..., Any]:
    """Return a user's ``package.module:function``, found with the current directory first. Errors name the option."""
    if pickled.is_pickled(name):
        return pickled.read(option, name)
    module_name, _, function_name = name.partition(":")
    if not module_name or not function_name.isidentifier():
        raise bad_value(option, name, _OWN)
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # a user's module may fail in any way; the message says which
        raise UsageError(
            f"{option}: {name!r}: cannot import {module_name!r}: {type(error).__name__}: {error}"
        ) from error
    function = getattr(module, function_name, None)
    if not callable(function):
        raise UsageError(f"{option}: {name!r}: module {module_name!r} has no function {function_name!r}")
    return function  # type: ignore[no-any-return]


def _check_keywords(name: str, function: Callable[..., Any], keywords: Mapping[str, Any]) -> None:
    """Raise UsageError unless ``function`` can be called with just these keywords."""
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
