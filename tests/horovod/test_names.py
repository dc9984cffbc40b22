"""What ``hpcnn.horovod`` has of Horovod's Keras interface, and what it refuses, without any rank."""

from __future__ import annotations

import importlib.util
import inspect
from typing import Any

import pytest

from hpcnn.errors import UsageError

if importlib.util.find_spec("horovod") is None:
    pytest.skip("needs Horovod: containers/build-horovod.sh", allow_module_level=True)

import keras

import hpcnn.horovod as hvd
from hpcnn.train.context import Fits
from hpcnn.train.keras_fit import recorder

PUBLIC = [
    "Average",
    "Compression",
    "DistributedOptimizer",
    "Sum",
    "allgather",
    "allreduce",
    "broadcast",
    "broadcast_global_variables",
    "callbacks",
    "global_process_set",
    "init",
    "is_initialized",
    "load_model",
    "local_rank",
    "mpi_threads_supported",
    "nccl_built",
    "rank",
    "reducescatter",
    "shutdown",
    "size",
]


def test_the_name_of_the_package_hides_no_horovod() -> None:
    import horovod

    assert horovod.__name__ == "horovod"
    assert hvd.__name__ == "hpcnn.horovod"


@pytest.mark.parametrize("name", PUBLIC)
def test_a_name_of_horovods_keras_interface_is_there(name: str) -> None:
    assert name in hvd.__all__
    assert hasattr(hvd, name)


@pytest.mark.parametrize(
    "name",
    ["DistributedOptimizer", "allreduce", "allgather", "broadcast", "reducescatter", "load_model"],
)
def test_a_function_takes_horovods_arguments(name: str) -> None:
    """In Horovod's order: scripts give the first few by position."""
    own = list(inspect.signature(getattr(hvd, name)).parameters)
    assert own == list(inspect.signature(getattr(_keras_of_horovod(), name)).parameters)


@pytest.mark.parametrize(
    "name",
    [
        "BroadcastGlobalVariablesCallback",
        "MetricAverageCallback",
        "LearningRateScheduleCallback",
        "LearningRateWarmupCallback",
        "BestModelCheckpoint",
    ],
)
def test_a_callback_takes_horovods_arguments(name: str) -> None:
    own = list(inspect.signature(getattr(hvd.callbacks, name)).parameters)
    horovods = list(inspect.signature(getattr(_keras_of_horovod().callbacks, name)).parameters)
    assert own[: len(horovods)] == horovods


def _keras_of_horovod() -> Any:
    return importlib.import_module("horovod.tensorflow.keras")


@pytest.mark.parametrize(
    ("module", "name"),
    [
        (hvd, "elastic"),
        (hvd, "PartialDistributedOptimizer"),
        (hvd, "ProcessSet"),
        (hvd.callbacks, "CommitStateCallback"),
        (hvd.callbacks, "UpdateEpochStateCallback"),
    ],
)
def test_what_hpcnn_does_not_have_is_refused_by_name(module: Any, name: str) -> None:
    with pytest.raises(UsageError, match=rf"{module.__name__}\.{name} is refused: .+ \(docs/horovod-script.md\)"):
        getattr(module, name)
    assert not hasattr(module, name)


def test_a_name_that_horovod_does_not_have_is_missing_as_any_other() -> None:
    with pytest.raises(AttributeError, match=r"module 'hpcnn.horovod' has no attribute 'nothing'"):
        _ = hvd.nothing


def sgd() -> Any:
    return keras.optimizers.SGD(0.1)


def accumulating() -> Any:
    return keras.optimizers.SGD(0.1, gradient_accumulation_steps=2)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"op": hvd.Adasum}, "op is refused"),
        ({"process_set": object()}, "process_set is refused"),
        ({"scale_local_gradients": False}, "scale_local_gradients is refused"),
        ({"gradient_predivide_factor": 2.0, "op": hvd.Sum}, "gradient_predivide_factor is refused"),
        ({"backward_passes_per_step": 0}, "backward_passes_per_step: 0 is not valid"),
        ({"backward_passes_per_step": 2, "optimizer": accumulating()}, "gradient_accumulation_steps"),
        ({"groups": -1}, "groups: -1 is not valid"),
        ({"groups": ["kernel"]}, "groups: .* is not valid"),
    ],
)
def test_an_argument_that_makes_no_sense_is_refused_by_name(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        hvd.DistributedOptimizer(**{"optimizer": sgd(), **arguments})


def test_what_is_no_optimizer_of_keras_3_is_refused() -> None:
    with pytest.raises(UsageError, match="expected an optimizer of Keras 3"):
        hvd.DistributedOptimizer(object())


def test_an_optimizer_is_distributed_once() -> None:
    for optimizer in (hvd.DistributedOptimizer(sgd()), hvd.DistributedOptimizer("sgd")):
        assert type(optimizer) is keras.optimizers.SGD
        with pytest.raises(UsageError, match="distributed already"):
            hvd.DistributedOptimizer(optimizer)
        with pytest.raises(UsageError, match="distributed already"):
            hvd.DistributedOptimizer(keras.optimizers.LossScaleOptimizer(optimizer))


def test_a_distributed_optimizer_has_the_configuration_of_its_class() -> None:
    optimizer = hvd.DistributedOptimizer(keras.optimizers.Adam(0.01, clipnorm=1.0))
    config = optimizer.get_config()
    assert type(optimizer).from_config(config).get_config() == config


def test_before_init_a_callback_says_what_is_missing() -> None:
    with pytest.raises(UsageError, match=r"call hvd.init\(\) first"):
        hvd.callbacks.BroadcastGlobalVariablesCallback(0)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (
            lambda: hvd.DistributedOptimizer(sgd()).register_local_var(None),
            "register_local_var: variable None is refused",
        ),
        (lambda: hvd.init(comm=[0, 1]), "hvd.init: comm is refused"),
        (lambda: hvd.broadcast_global_variables(0), "hvd.broadcast_variables"),
        (lambda: hvd.load_model("none.keras", legacy_opts=True), "legacy_opts is refused"),
        (lambda: hvd.callbacks.LearningRateWarmupCallback(None), "initial_lr: None is not valid"),
    ],
)
def test_a_call_that_cannot_be_is_refused(call: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        call()


def test_the_callback_that_broadcasts_passes_on_whatever_the_recorder_does() -> None:
    from hpcnn.parallel.serial import SingleReplica

    own = vars(type(recorder(SingleReplica(), Fits(None), None)))
    hooks = {name for name in own if name.startswith(("on_", "set_"))}
    assert hooks <= set(vars(hvd.callbacks.BroadcastGlobalVariablesCallback)) | {"set_params"}
