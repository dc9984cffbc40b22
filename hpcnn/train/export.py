"""Write a trained network for use elsewhere, and check that what was written gives the run's own outputs.

The network takes what the training fed it: pixels are scaled already. Must not know commands.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hpcnn.data.structure import map_structure
from hpcnn.train.trained import Trained
from hpcnn.util.errors import HpcnnError, RunError, UsageError
from hpcnn.util.extras import optional_module
from hpcnn.util.tf_import import without_startup_messages
from hpcnn.util.types import Array, KerasModel

# Samples that are compared, and what may differ: other libraries add up in another order.
_SAMPLES = 32
_RELATIVE, _ABSOLUTE = 1e-3, 1e-5

# What is replaced waits below this name.
_EARLIER = "earlier"

# Takes samples as the network does, and returns its outputs, flat.
_Outputs = Callable[[Any], "list[Array]"]


@dataclass(frozen=True)
class Exported:
    """What was written. difference: the largest between its outputs and the network's, for so many samples."""

    file: Path
    samples: int
    difference: float
    inputs: str
    outputs: str


def check_packages(form: str) -> None:
    """Raise HpcnnError, which says what to install, where a package for the form is missing."""
    if form == "onnx":
        for package in ("onnx", "tf2onnx", "onnxruntime"):
            optional_module(package, "hpcnn export --format onnx", "export")


def check_target(file: Path, *, force: bool) -> None:
    """Raise UsageError for a target that is there already, unless it may be replaced and is something of the kind."""
    if not file.parent.is_dir():
        raise UsageError(f"--output: there is no folder {str(file.parent)!r}")
    if not file.exists():
        return
    if not force:
        raise UsageError(f"--output: {str(file)!r} is there already; --force replaces it")
    if file.is_dir() and not (file / "saved_model.pb").is_file():
        raise UsageError(f"--output: {str(file)!r} is a folder without a SavedModel; hpcnn does not replace it")


def export(trained: Trained, form: str, file: Path) -> Exported:
    """Write the network in the form ``keras``, ``saved-model`` or ``onnx``, and replace what is there.

    It is written beside its place, read again, and compared with the network for some test samples. Raises RunError,
    and leaves nothing, where it cannot be written or gives other outputs.
    """
    samples = _inputs(trained)
    wanted = _flat(trained.model(samples, training=False))
    write, outputs_of = _FORMS[form]
    with _working_folder(file) as folder:
        new = folder / file.name
        try:
            with warnings.catch_warnings(), without_startup_messages():
                warnings.simplefilter("ignore")
                write(trained.model, new)
                found = outputs_of(new)(_as_exported(trained.model, samples))
            difference = _difference(wanted, found, file)
            if file.is_dir():  # not removed first: a kill here loses nothing
                file.rename(folder / _EARLIER)
            new.replace(file)
        except HpcnnError:
            raise
        except Exception as error:  # Keras and its converters raise anything for a network that they cannot write
            raise RunError(f"{file}: {trained.spec.model} cannot be exported as {form}: {_words(error)}") from error
    count = trained.data.test_samples
    return Exported(file, min(count, _SAMPLES), difference, _scaling(trained), ", ".join(map(_shape, wanted)))


@contextlib.contextmanager
def _working_folder(file: Path) -> Iterator[Path]:
    """Yield a new folder beside ``file``, which is gone afterwards, as are those of exports that were killed."""
    _forget_killed(file)
    folder = Path(tempfile.mkdtemp(prefix=f".{file.name}.", dir=file.parent))
    held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):  # a file system without locks: nobody removes it then
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(held)


def _forget_killed(file: Path) -> None:
    """Remove the folders of exports to ``file`` that were killed; what one had moved out of its way comes back."""
    name = re.compile(rf"\.{re.escape(file.name)}\.[a-z0-9_]{{8}}")  # as tempfile makes them
    for left in [entry for entry in file.parent.iterdir() if name.fullmatch(entry.name)]:
        with contextlib.suppress(OSError):  # another one's, or at work
            held = os.open(left, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if (left / _EARLIER).is_dir() and not file.exists():
                    (left / _EARLIER).rename(file)
                shutil.rmtree(left, ignore_errors=True)
            finally:
                os.close(held)


def _inputs(trained: Trained) -> Any:
    """Return some test samples as the training gave them to the network; several inputs as the data has them."""
    from hpcnn.train.feed import Form, fit_shape, pixel_factor, place, sample_shape

    data = trained.data
    count = min(data.test_samples, _SAMPLES)
    fitted = fit_shape(map_structure(lambda part: part[:count], data.x_test), sample_shape(trained.model, data))
    form = Form(pixel_factor(data, trained.spec.pixel_scale), data.tokens)
    return place(fitted, np.zeros(count, np.int64), ("/CPU:0",), form).gather(0, np.arange(count))[0]


def _as_exported(model: KerasModel, samples: Any) -> Any:
    """Return samples in the structure of the network's own inputs: the data may name them where it has a list."""
    inputs = getattr(model, "input", None)  # a subclassed model has none, and takes what it was called with
    if not isinstance(samples, dict) or not isinstance(inputs, (list, tuple)):
        return samples
    return [samples[tensor.name] for tensor in inputs]


def _scaling(trained: Trained) -> str:
    """Return what the network's inputs are, for people."""
    from hpcnn.train.feed import pixel_factor

    if trained.data.tokens:
        return "numbers of words"
    if pixel_factor(trained.data, trained.spec.pixel_scale) is not None:
        return f"pixels divided by {trained.data.pixel_scale:g}"
    return "pixels from 0 to 255, as they are" if trained.data.pixel_scale != 1 else "numbers as the data has them"


def _write_keras(model: KerasModel, file: Path) -> None:
    model.save(file)


def _write_saved_model(model: KerasModel, file: Path) -> None:
    model.export(file, format="tf_saved_model", verbose=False)


def _write_onnx(model: KerasModel, file: Path) -> None:
    model.export(file, format="onnx", verbose=False)


def _of_keras(file: Path) -> _Outputs:
    import keras

    # in safe mode: what it cannot load, nobody else could load without trusting the file
    loaded = keras.saving.load_model(file, compile=False, safe_mode=True)
    return lambda samples: _flat(loaded(samples, training=False))


def _of_saved_model(file: Path) -> _Outputs:
    import tensorflow as tf

    loaded = tf.saved_model.load(str(file))
    return lambda samples: _flat(loaded.serve(samples))


def _of_onnx(file: Path) -> _Outputs:
    import keras

    session = optional_module("onnxruntime", "hpcnn export --format onnx", "export").InferenceSession(
        str(file), providers=["CPUExecutionProvider"]
    )
    names = [given.name for given in session.get_inputs()]

    def outputs(samples: Any) -> list[Array]:
        given = dict(zip(names, map(np.asarray, keras.tree.flatten(samples)), strict=True))
        return [np.asarray(part, np.float64) for part in session.run(None, given)]

    return outputs


_FORMS: dict[str, tuple[Callable[[KerasModel, Path], None], Callable[[Path], _Outputs]]] = {
    "keras": (_write_keras, _of_keras),
    "saved-model": (_write_saved_model, _of_saved_model),
    "onnx": (_write_onnx, _of_onnx),
}


def _flat(outputs: Any) -> list[Array]:
    import keras

    return [np.asarray(part, np.float64) for part in keras.tree.flatten(outputs)]


def _difference(wanted: list[Array], found: list[Array], file: Path) -> float:
    """Return the largest difference of outputs. Raises RunError for outputs that are not the same."""
    shapes = [[part.shape for part in parts] for parts in (wanted, found)]
    if shapes[0] != shapes[1]:
        raise RunError(f"{file}: the exported network has outputs of shape {shapes[1]}, the run's network {shapes[0]}")
    largest = max(float(np.abs(one - other).max(initial=0.0)) for one, other in zip(wanted, found, strict=True))
    if not all(np.allclose(other, one, _RELATIVE, _ABSOLUTE) for one, other in zip(wanted, found, strict=True)):
        raise RunError(
            f"{file}: the exported network gives other outputs than the run's network: they differ by up to "
            f"{largest:.3g} for the first {len(wanted[0])} test samples; nothing was written"
        )
    return largest


def _shape(outputs: Array) -> str:
    return "x".join(map(str, outputs.shape[1:])) or "one number"


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:500]}"
