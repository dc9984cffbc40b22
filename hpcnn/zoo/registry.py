"""Look up networks of the zoo: their recipes, and the keywords of their factories.

Models are built by ``hpcnn.models.registry``. Must not import Keras or NumPy: login nodes use this module.
"""

from __future__ import annotations

import ast
import importlib.util
from typing import TYPE_CHECKING

from hpcnn.util.errors import unknown_value
from hpcnn.util.user_code import OWN
from hpcnn.zoo import recipes_climate, recipes_exercises, recipes_numpy, recipes_psc, recipes_scinet, recipes_wolter

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hpcnn.zoo.recipe import Recipe

RECIPES: dict[str, Recipe] = {
    entry.id: entry
    for module in (recipes_numpy, recipes_scinet, recipes_psc, recipes_wolter, recipes_exercises, recipes_climate)
    for entry in module.RECIPES
}


def is_zoo(name: str) -> bool:
    """Return whether ``name`` is an id of the zoo (and not a user's own function)."""
    return name in RECIPES


def in_numpy(name: str) -> bool:
    """Return whether ``name`` is a network in NumPy of the zoo, which ``hpcnn.train.numpy`` trains."""
    return is_zoo(name) and RECIPES[name].framework == "numpy"


def check_name(name: str) -> None:
    """Raise UsageError for a ``name`` that is neither an id of the zoo nor ``package.module:function``."""
    if ":" not in name and not is_zoo(name):
        raise unknown_value("--model", name, RECIPES, forms=[OWN], see="hpcnn models")


def check_arguments(name: str, arguments: Iterable[str]) -> None:
    """Raise UsageError for a keyword that a network of the zoo does not have. Other networks pass.

    Needs no Keras, so that a login node finds the mistake before a job is submitted.
    """
    valid = keywords(name)
    for keyword in arguments:
        if valid is not None and keyword not in valid:
            raise unknown_value(f"argument of model {name}", keyword, valid)


def recipe(id: str) -> Recipe:
    """Return the recipe of an id of the zoo. Raises UsageError for any other name."""
    if id not in RECIPES:
        raise unknown_value("--model", id, RECIPES, see="hpcnn models")
    return RECIPES[id]


def keywords(name: str) -> tuple[str, ...] | None:
    """Return the keywords of a network of the zoo, parsed from the source of its factory: importing it needs Keras.

    None for a user's own function, and for a factory that takes any keyword.
    """
    if not is_zoo(name):
        return None
    module, _, function = RECIPES[name].factory.partition(":")
    origin = getattr(importlib.util.find_spec(module), "origin", None)
    from pathlib import Path

    tree = ast.parse(Path(str(origin)).read_text(encoding="utf-8"))
    factory = next(node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == function)
    taken = (*factory.args.args, *factory.args.kwonlyargs)
    return None if factory.args.kwarg else tuple(argument.arg for argument in taken)
