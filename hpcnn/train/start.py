"""Where a training starts from: weights of a saved network, and layers that are not trained.

Only numbers are read from a file: the network is the one that the spec builds, and nothing of what a ``.keras`` file
says of its own network is executed. Must not know ranks or records.
"""

from __future__ import annotations

import dataclasses
import difflib
import fnmatch
import shutil
import tempfile
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpcnn.specs.train import TrainSpec, check_weights, check_weights_file
from hpcnn.util.errors import UsageError
from hpcnn.util.files import file_sha256
from hpcnn.util.text import first_few
from hpcnn.util.types import Json, KerasModel, Layer
from hpcnn.util.unreadable import UNREADABLE

# How many layers an error names.
_NAMED = 5
# Of a file, what belongs to no layer: the optimizer's variables and what `fit` adds up.
_NO_LAYERS = ("optimizer", "_metrics", "metrics", "_compile_metrics", "_compile_loss", "_loss_tracker")
# Keras's name for the state of a random generator: it is not a weight, and --seed decides it.
_GENERATOR = "seed_generator"


@dataclass(frozen=True)
class _Stored:
    """The weights of one layer in a file: the layer's name, where the file has it, and the shape of each of them."""

    name: str
    shapes: tuple[tuple[int, ...], ...]


def without_weights(spec: TrainSpec) -> TrainSpec:
    """Return the spec of the same network for whoever has its weights from elsewhere: a checkpoint, a state."""
    return dataclasses.replace(spec, weights=None, weights_except=())


def prepare_start(model: KerasModel, spec: TrainSpec) -> None:
    """Give a new, built network the weights that the spec starts from, and freeze the layers that it freezes.

    Before an optimizer is built for it. Raises UsageError for a layer that the network has not, for weights that do not
    fit, and where nothing is left to train.
    """
    if spec.weights is not None:
        _load(model, Path(spec.weights), spec.weights_except)
    if spec.freeze:
        for layer in layers_named(model, "--freeze", spec.freeze):
            layer.trainable = False
        if not model.trainable_weights:
            raise UsageError(f"--freeze: {' '.join(spec.freeze)} leaves nothing of {spec.model} to train")


def origin_of(spec: TrainSpec) -> dict[str, Json] | None:
    """Return what the record says of the file that a training starts from; None for one that starts anew.

    Raises UsageError for a file that is not there or not of the kind.
    """
    check_weights(spec, lambda key: f"--{key.replace('_', '-')}")
    check_weights_file(spec)
    if spec.weights is None:
        return None
    file = Path(spec.weights)
    return {"file": str(file.absolute()), "sha256": file_sha256(file), "except": list(spec.weights_except)}


def frozen(model: KerasModel) -> list[str]:
    """Return the names of the layers with weights that are not trained, those inside of networks too."""
    return [layer.name for layer in model._flatten_layers(include_self=False) if layer.weights and not layer.trainable]


def layers_named(model: KerasModel, option: str, patterns: Sequence[str], others: Sequence[str] = ()) -> list[Layer]:
    """Return the layers whose names match one of the shell patterns, with all layers inside of those.

    others: names that a pattern may match instead. Raises UsageError, with similar names, for one that matches none.
    """
    layers = list(model._flatten_layers(include_self=False))
    found: dict[int, Layer] = {}
    for pattern in patterns:
        matching = [layer for layer in layers if fnmatch.fnmatchcase(layer.name, pattern)]
        if not matching and not fnmatch.filter(others, pattern):
            names = list(dict.fromkeys(layer.name for layer in layers))
            near = difflib.get_close_matches(pattern, names, n=3, cutoff=0.5)
            hint = f"did you mean {' or '.join(map(repr, near))}? " if near else ""
            raise UsageError(
                f"{option}: {pattern!r} is no layer of this network; {hint}It has {_list(names)}; "
                "`hpcnn models show` lists the layers of a model"
            )
        for layer in matching:
            found.update((id(part), part) for part in layer._flatten_layers(include_self=True))
    return list(found.values())


def _load(model: KerasModel, file: Path, but: Sequence[str]) -> None:
    """Read the weights of all layers from a file, except those of some. Raises UsageError unless all others fit."""
    generators = [g for layer in model._flatten_layers() for g in getattr(layer, "_seed_generators", [])]
    optimizer = [model.optimizer] if getattr(model, "optimizer", None) is not None else []
    try:
        with tempfile.TemporaryDirectory() as folder:
            plain = _plain(file, Path(folder))
            own = Path(folder) / "own.weights.h5"
            model.save_weights(own)
            given = _stored(plain)
            left_out = layers_named(model, "--weights-except", but, [layer.name for layer in given.values()])
            _check_fit(_stored(own), given, {layer.name for layer in left_out}, but, file)
            model.load_weights(plain, objects_to_skip=[*left_out, *generators, *optimizer])
    except UNREADABLE as error:
        raise UsageError(f"--weights: {str(file)!r} cannot be read as weights that Keras 3 wrote: {error}") from error


def _plain(file: Path, folder: Path) -> Path:
    """Return a file that holds weights alone: of a ``.keras`` file, the part that does, in this folder."""
    if file.suffix != ".keras":
        return file
    with zipfile.ZipFile(file) as archive, archive.open("model.weights.h5") as content:
        target = folder / "given.weights.h5"
        with target.open("wb") as copy:
            shutil.copyfileobj(content, copy)
    return target


def _check_fit(
    wanted: Mapping[str, _Stored], given: Mapping[str, _Stored], left_out: set[str], but: Sequence[str], file: Path
) -> None:
    """Raise UsageError, naming layers and shapes, unless file and network have the same weights, some layers apart.

    left_out: names of layers of the network. but: patterns of layers that only the file has.
    """
    own = {path: layer for path, layer in wanted.items() if layer.name not in left_out}
    wrong = [
        _difference(layer, given.get(path)) for path, layer in own.items() if layer != _like(layer, given.get(path))
    ]
    wrong += [
        f"{layer.name!r}: {_shapes(layer)} in the file, and the network has no such layer"
        for path, layer in given.items()
        if path not in wanted and not any(fnmatch.fnmatchcase(layer.name, pattern) for pattern in but)
    ]
    if wrong:
        more = f"; and {len(wrong) - _NAMED} more" if len(wrong) > _NAMED else ""
        raise UsageError(
            f"--weights: {str(file)!r} does not fit the network: layer {'; layer '.join(wrong[:_NAMED])}{more}. A "
            "layer that is to keep its own initial weights is named by --weights-except"
        )


def _like(layer: _Stored, found: _Stored | None) -> _Stored | None:
    """Return what the file has, under the name that the network has for it: names are counted, and decide nothing."""
    return None if found is None else _Stored(layer.name, found.shapes)


def _difference(layer: _Stored, found: _Stored | None) -> str:
    if found is None:
        return f"{layer.name!r}: {_shapes(layer)} in the network, nothing in the file"
    return f"{layer.name!r}: {_shapes(layer)} in the network, {_shapes(found)} in the file"


def _shapes(layer: _Stored) -> str:
    return ", ".join("x".join(map(str, shape)) or "a number" for shape in layer.shapes)


def _stored(file: Path) -> dict[str, _Stored]:
    """Return the layers with weights in a file, by Keras's paths."""
    import h5py

    found: dict[str, _Stored] = {}
    with h5py.File(file, "r") as store:
        store.visititems(lambda path, item: _collect(found, path, item))
    return found


def _collect(found: dict[str, _Stored], path: str, item: Any) -> None:
    import h5py

    parts = path.split("/")
    if not isinstance(item, h5py.Group) or parts[0] in _NO_LAYERS or _GENERATOR in path:
        return
    shapes = tuple(tuple(part.shape) for part in item.values() if isinstance(part, h5py.Dataset))
    if shapes:
        home = "/".join(part for part in parts if part != "vars")
        found[home] = _Stored(str(item.attrs.get("name", home)), shapes)


def _list(names: Iterable[str]) -> str:
    every = list(names)
    return first_few(every, 2 * _NAMED)
