"""Types that many rooms share: arrays, JSON values, users' functions, and objects of Keras and TensorFlow.

A protocol lists the attributes of a Keras object that hpcnn uses, so that a login node can name its type without
importing Keras. Must not import NumPy or Keras at run time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    # An array of NumPy, of any shape and type of number. A function's docstring gives both where they matter.
    Array: TypeAlias = npt.NDArray[Any]
    # An array of NumPy in double precision.
    Vector: TypeAlias = npt.NDArray[np.float64]
else:
    Array = Vector = Any

# A tensor of TensorFlow inside a traced function. TensorFlow has no types that mypy could check: an honest Any by name.
Tensor: TypeAlias = Any

# A value of JSON or TOML, in records, profiles and studies. Its depth is open, and readers check it: Any by name.
Json: TypeAlias = Any

# A function of a user's own: a network, a data set, a loss. Its arguments and result are the user's.
UserFunction: TypeAlias = Callable[..., Any]


# A layer or an optimizer of Keras: its class decides which attributes it has, so mypy cannot check them.
Layer: TypeAlias = Any
Optimizer: TypeAlias = Any

# What Keras gives its callbacks: losses and metrics by name.
Logs: TypeAlias = "dict[str, float] | None"


class Variable(Protocol):
    """A variable of Keras: a weight, a moving statistic, a state of the optimizer."""

    name: str
    path: str
    shape: tuple[int, ...]
    dtype: str
    value: Tensor

    def assign(self, value: Any) -> Any:
        """Give it another value of the same shape."""

    def numpy(self) -> Array:
        """Return a copy of its value."""


class KerasModel(Protocol):
    """A model of Keras 3: a user's own, or one of the zoo."""

    name: str
    built: bool
    layers: list[Layer]
    inputs: Any
    output_shape: Any
    loss: Any
    optimizer: Optimizer
    jit_compile: bool
    metrics: list[Any]
    stop_training: bool
    variables: list[Variable]
    weights: list[Variable]
    trainable_variables: list[Variable]
    trainable_weights: list[Variable]
    non_trainable_weights: list[Variable]
    losses: list[Tensor]
    dtype_policy: Any

    def __call__(self, inputs: Tensor, *, training: bool = False) -> Tensor:
        """Return its outputs for a batch."""

    def build(self, input_shape: Any) -> None:
        """Make its weights for batches of this shape."""

    def compile(self, **options: Any) -> None:
        """Set optimizer, loss and metrics."""

    def count_params(self) -> int:
        """Return the number of its weights."""

    def get_config(self) -> Mapping[str, Any]:
        """Return what it is made of."""

    def train_step(self, data: Any) -> Mapping[str, Tensor]:
        """Do one training step, a user's own or Keras's; return what it measured."""

    def test_step(self, data: Any) -> Mapping[str, Tensor]:
        """Evaluate one batch; return what it measured."""

    def load_weights(self, filepath: str | Path, **options: Any) -> None:
        """Read its weights from a file of Keras."""

    def save_weights(self, filepath: str | Path) -> None:
        """Write its weights to a ``.weights.h5`` file."""

    def save(self, filepath: str | Path) -> None:
        """Write it to a ``.keras`` file."""

    def export(self, filepath: str | Path, **options: Any) -> None:
        """Write what it computes, as a SavedModel or as ONNX."""

    # Keras's own names, which it promises to nobody: constraints.txt pins the versions with which they were tried.
    _compile_config: Any
    _compile_loss: Any
    _compile_metrics: Any

    def _compute_loss(self, x: Tensor, y: Tensor, y_pred: Tensor, sample_weight: Tensor, *, training: bool) -> Tensor:
        """Return the mean loss of a batch by ``compute_loss``, with ``training`` where that takes it."""

    def _aggregate_additional_loss(self, loss: Tensor) -> Tensor:
        """Return a penalty as ``compute_loss`` adds it: summed, and divided by the replicas of tf.distribute."""

    def _flatten_layers(self, include_self: bool = True, recursive: bool = True) -> list[Layer]:
        """Return its layers, those within layers too."""
