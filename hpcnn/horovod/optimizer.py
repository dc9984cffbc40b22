"""Horovod's ``DistributedOptimizer`` on Keras 3, and ``load_model``, which returns a model with one.

Keras 3 calls an optimizer's ``apply``, where Horovod's own class reduces nothing. So the optimizer gets an ``apply``
that combines the gradients over the ranks first. It stays of its own class: a saved model loads without hpcnn.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from types import FrameType
from typing import Any, NoReturn

import keras
import tensorflow as tf

from hpcnn.horovod.ranks import Average, Compression, Sum, global_process_set, rocm_built
from hpcnn.horovod.reduction import Groups, Reduction
from hpcnn.horovod.refused import all_ranks_only, refuse_argument
from hpcnn.train.tensors import dense
from hpcnn.util.errors import UsageError, bad_value
from hpcnn.util.loss_scaling import unscaled
from hpcnn.util.types import KerasModel, Optimizer, Tensor, Variable
from hpcnn.util.unreadable import check_archive

Apply = Callable[[Sequence[Tensor], Sequence[Variable]], None]
_WHO = "hvd.DistributedOptimizer"


def DistributedOptimizer(
    optimizer: Optimizer,
    name: str | None = None,
    device_dense: str = "",
    device_sparse: str = "",
    compression: Any = Compression.none,
    sparse_as_dense: bool = False,
    gradient_predivide_factor: float = 1.0,
    op: Any = Average,
    backward_passes_per_step: int = 1,
    average_aggregated_gradients: bool = False,
    num_groups: int = 0,
    groups: Groups = None,
    process_set: Any = global_process_set,
    scale_local_gradients: bool = True,
) -> Optimizer:
    """Return the Keras 3 optimizer, changed so that every step applies the gradients' mean over all ranks.

    Under mixed_float16 it is first wrapped in Keras's LossScaleOptimizer, so that all ranks skip the same steps.

    name: the beginning of the names of Horovod's operations, the same on all ranks.
    compression: ``hvd.Compression.fp16`` sends 16 bits of each number.
    sparse_as_dense: sum the gradient of a table whole, and not the rows that a batch touched.
    gradient_predivide_factor: divide gradients by it before they are summed, and multiply them by it after.
    op: ``hvd.Average`` or ``hvd.Sum``.
    backward_passes_per_step: batches whose gradients are added up before they are combined and applied. ``iterations``
        counts batches all the same, and schedules of the learning rate follow it.
    average_aggregated_gradients: whether that sum is divided by the number of batches.
    groups, num_groups: the number of groups of gradients that are reduced together, or lists of their variables.

    Raises UsageError for what is no optimizer of Keras 3, for one that is distributed already, and for arguments that
    would give ranks weights of their own.
    """
    if process_set is not global_process_set:
        all_ranks_only(_WHO, "process_set")
    if not scale_local_gradients:
        all_ranks_only(_WHO, "scale_local_gradients")
    if op not in (Average, Sum):
        refuse_argument(_WHO, "op", "gradients are combined by hvd.Average or hvd.Sum, as in Horovod's Keras interface")
    if backward_passes_per_step < 1:
        raise bad_value("backward_passes_per_step", backward_passes_per_step, "a number of batches, at least 1")
    optimizer = _outermost(optimizer)
    reduction = Reduction(
        name or f"Distributed{type(optimizer).__name__}",
        op,
        compression,
        _predivision(gradient_predivide_factor, op),
        sparse_as_dense,
        _groups(num_groups if groups is None else groups),
        device_dense,
        device_sparse,
    )
    own: Apply = optimizer.apply
    if backward_passes_per_step == 1:
        optimizer.apply = _Once(optimizer, own, reduction).apply
    else:
        _check_counts_nothing(optimizer)
        divisor = backward_passes_per_step if average_aggregated_gradients else 1
        optimizer.apply = _Seldom(optimizer, own, reduction, backward_passes_per_step, divisor).apply
    optimizer.register_local_var = _refuse_local_variable
    return optimizer


def load_model(
    filepath: str | os.PathLike[str],
    custom_optimizers: Sequence[type] | None = None,
    custom_objects: Mapping[str, Any] | None = None,
    compression: Any = Compression.none,
    legacy_opts: bool = False,
) -> KerasModel:
    """Return a saved model whose optimizer, with the state that was saved, is distributed.

    custom_optimizers: classes of your own that the file may name. custom_objects: as of ``keras.models.load_model``.
    Raises zipfile.BadZipFile for a damaged ``.keras`` file.
    """
    if legacy_opts:
        refuse_argument("hvd.load_model", "legacy_opts", "Keras 3 has no legacy optimizers")
    objects = {cls.__name__: cls for cls in custom_optimizers or ()} | dict(custom_objects or {})
    if os.fspath(filepath).endswith(".keras"):
        check_archive(filepath)
    model: Any = keras.models.load_model(filepath, custom_objects=objects)
    if model.optimizer is not None and not is_distributed(model.optimizer):
        model.optimizer = DistributedOptimizer(model.optimizer, compression=compression)
    return model  # type: ignore[no-any-return]


def is_distributed(optimizer: Optimizer) -> bool:
    """Return whether the optimizer combines gradients over the ranks."""
    return isinstance(getattr(vars(optimizer).get("apply"), "__self__", None), _Once)


class _Once:
    """Combines the gradients of every step."""

    def __init__(self, optimizer: Optimizer, own: Apply, reduction: Reduction) -> None:
        self._optimizer, self._own, self._reduction = optimizer, own, reduction

    def apply(self, grads: Sequence[Tensor], trainable_variables: Sequence[Variable] | None = None) -> None:
        """*graph*: take the place of the optimizer's own ``apply``, which Keras's trainer calls."""
        _check_not_scaled(self._optimizer)
        variables = list(self._optimizer._trainable_variables if trainable_variables is None else trainable_variables)
        self._step(list(grads), variables)

    @tf.autograph.experimental.do_not_convert  # type: ignore[untyped-decorator]
    def _step(self, gradients: list[Tensor], variables: list[Variable]) -> None:
        self._own(self._reduction(gradients, variables), variables)


class _Seldom(_Once):
    """Adds up the gradients of several batches before they are combined and applied."""

    def __init__(self, optimizer: Optimizer, own: Apply, reduction: Reduction, passes: int, divisor: int) -> None:
        super().__init__(optimizer, own, reduction)
        self._passes, self._divisor = passes, divisor
        self._sums: list[Any] | None = None

    @tf.autograph.experimental.do_not_convert  # type: ignore[untyped-decorator]
    def _step(self, gradients: list[Tensor], variables: list[Variable]) -> None:
        own = [dense(gradient) for gradient in gradients]
        self._prepare(own, variables)
        sums: list[Any] = self._sums or []
        for total, gradient in zip(sums, own, strict=True):
            if gradient is not None:
                total.assign_add(gradient)

        def combine_and_apply() -> Tensor:
            super(_Seldom, self)._step([None if s is None else s / self._divisor for s in sums], variables)
            for total in sums:
                if total is not None:
                    total.assign(tf.zeros_like(total))  # not a product with 0: the sum may be infinite
            return tf.constant(True)

        def go_on() -> Tensor:
            unscaled(self._optimizer)._iterations.assign_add(1)  # it counts batches, as under Horovod
            return tf.constant(False)

        tf.cond(self._count.assign_add(1) % self._passes == 0, combine_and_apply, go_on)

    def _prepare(self, gradients: Sequence[Tensor], variables: Sequence[Variable]) -> None:
        """Make the variables of the optimizer and of the sums: no branch of a condition can make any."""
        if not self._optimizer.built:
            self._optimizer.build(variables)
            self._optimizer.built = True
        if self._sums is None:
            with tf.init_scope():
                self._count = tf.Variable(0, trainable=False)
                self._sums = [
                    None if g is None else tf.Variable(tf.zeros(v.shape, g.dtype), trainable=False)
                    for g, v in zip(gradients, variables, strict=True)
                ]


def _outermost(optimizer: Optimizer) -> Optimizer:
    """Return the optimizer that Keras's trainer will call: where there is loss scaling, the one that scales."""
    optimizer = keras.optimizers.get(optimizer) if isinstance(optimizer, str) else optimizer
    if not isinstance(optimizer, keras.optimizers.Optimizer):
        raise bad_value(_WHO, type(optimizer), "an optimizer of Keras 3 (keras.optimizers)")
    scales = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
    if is_distributed(optimizer) or (scales and is_distributed(optimizer.inner_optimizer)):
        raise UsageError(f"{_WHO}: this optimizer is distributed already")
    if keras.config.dtype_policy().name == "mixed_float16" and not scales:
        return keras.optimizers.LossScaleOptimizer(optimizer)
    return optimizer


def _check_counts_nothing(optimizer: Optimizer) -> None:
    """Raise UsageError for an optimizer that does something every so many steps, and would miss most of them."""
    for name in ("gradient_accumulation_steps", "ema_overwrite_frequency"):
        if getattr(unscaled(optimizer), name, None):
            refuse_argument(_WHO, "backward_passes_per_step", f"the optimizer counts steps itself ({name})")


def _check_not_scaled(optimizer: Optimizer) -> None:
    """Raise UsageError where loss scaling stands around the distributed optimizer and calls it.

    Each rank would then decide by its own gradients whether to skip a step in which the others wait for it. Nothing but
    the stack says who calls: Keras puts the scaling around the optimizer by itself, in ``compile``.
    """
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        caller = frame.f_locals.get("self")
        if isinstance(caller, keras.optimizers.LossScaleOptimizer) and caller is not optimizer:
            raise UsageError(
                f"{_WHO}: a LossScaleOptimizer stands around it, so one rank would skip steps in which the others "
                "wait. Call keras.config.set_dtype_policy('mixed_float16') before it, or give it the "
                "LossScaleOptimizer"
            )
        frame = frame.f_back


def _refuse_local_variable(var: Any) -> NoReturn:
    all_ranks_only("register_local_var", f"variable {getattr(var, 'name', var)!r}")


def _predivision(factor: float, op: Any) -> float:
    if factor != 1.0 and op != Average:
        refuse_argument(_WHO, "gradient_predivide_factor", "it divides a mean in two, and op is no mean")
    if factor != 1.0 and rocm_built():
        refuse_argument(_WHO, "gradient_predivide_factor", "Horovod cannot on ROCm")
    return factor


def _groups(groups: Groups) -> Groups:
    if groups is None or (isinstance(groups, int) and groups >= 0):
        return groups or None
    if isinstance(groups, (list, tuple)) and all(isinstance(group, (list, tuple)) for group in groups):
        return groups
    raise bad_value("groups", groups, "a number of groups, or a list of lists of variables")
