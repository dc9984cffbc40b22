"""The trainings whose weights are compared, and the strategies each is done under. Imports nothing heavy."""

from __future__ import annotations

import os
from dataclasses import replace

from hpcnn.specs.train import TrainSpec

# 333 samples in batches of 100: neither the batches nor the last of them divide evenly by 2, 3 or 4.
MOMENTUM = TrainSpec(
    model="psc-cnn1",
    model_args={"numfm": 4, "numnodes": 16},
    data="digits",
    samples=333,
    test_samples=120,
    batch_size=100,
    epochs=2,
    learning_rate=0.02,
    momentum=0.9,
    checkpoint=True,
    seed=3,
)
_OWN = replace(MOMENTUM, model_args={}, optimizer="sgd")

# The measurement of the ceiling, in which each replica trains a network of its own.
CEILING = replace(MOMENTUM, strategy="horovod", checkpoint=False, communication=False)
ALONE = "no-communication"
STREAMED = "streamed"
# Batches of 40: 8 full ones and one of 13 an epoch.
PROFILED = replace(MOMENTUM, batch_size=40, checkpoint=False, epochs=3, profile=3)

# 203 samples in batches of 50: the last batch has 3, and each batch another number of pixels that count.
MAPS = replace(
    _OWN,
    model="own_maps:segmenter",
    data="own_maps:maps",
    samples=None,
    test_samples=None,
    batch_size=50,
    learning_rate=0.1,
    momentum=None,
    class_weight={"sqrt": True},
    ignore_label=255,
)
MAPS_STREAMED = "maps-streamed"
# Maps that are computed, a U-Net, and layers that limit their rates.
CLIMATE = "climate"
# Everything that a stopped training must find again: an optimizer's averages, moving statistics, a rate that falls,
# the scale of a loss, masks of dropout, changes of images, and where the files were read.
ALL_AT_ONCE = "all-at-once"

CASES = {
    "momentum": MOMENTUM,
    # The last batch is one sample: all replicas but one have nothing to do in that step.
    "last-batch-of-one": replace(MOMENTUM, samples=201),
    "adam": replace(MOMENTUM, optimizer="adam", learning_rate=0.003, momentum=None, samples=201),
    "l2": replace(_OWN, model="own:ridge", loss="mean_squared_error", learning_rate=0.5, samples=201),
    "factors": replace(_OWN, model="own:wide", batch_size=20, samples=201, learning_rate=0.05),
    "factors-bfloat16": replace(_OWN, model="own:wide", batch_size=20, samples=100, precision="bfloat16"),
    "own-initial-weights": replace(_OWN, model="own:each_rank_its_own_weights"),
    "batch-norm": replace(_OWN, model="own:normalized"),
    "sync-batch-norm": replace(_OWN, model="own:normalized", sync_batch_norm=True),
    "batch-norm-one-step": replace(
        _OWN, model="own:one_normalized_layer", data="own:seven_samples", samples=None, test_samples=None, epochs=1
    ),
    "dropout": replace(MOMENTUM, model="psc-cnn-dropout"),
    # the samples of "momentum", read from files a slice at a time
    STREAMED: replace(MOMENTUM, data="own:on_disk", samples=None, test_samples=None),
    "augment": replace(
        MOMENTUM,
        augment={"rotation": 10.0, "zoom": 0.1, "translation": 0.1, "flip": "both", "gamma": 0.2, "noise": 0.05},
    ),
    "two-inputs": replace(
        _OWN, model="own:two_inputs", data="own:halves", samples=None, test_samples=None, optimizer=None, momentum=None
    ),
    "class-weight": replace(MOMENTUM, class_weight={"3": 5, "7": 0.25}),
    "sample-weight": replace(MOMENTUM, data="own:weighted", samples=None, test_samples=None),
    "several-labels": replace(
        _OWN, model="own:for_several_labels", data="own:several_labels", samples=None, test_samples=None, batch_size=20
    ),
    "maps": MAPS,
    MAPS_STREAMED: replace(MAPS, data="own_maps:maps_on_disk"),
    CLIMATE: replace(
        MOMENTUM,
        model="unet",
        model_args={"numfm": 2, "depth": 1},
        data="climate",
        data_args={"height": 16, "width": 24},
        samples=37,
        test_samples=9,
        batch_size=10,
        optimizer="sgd",
        learning_rate=0.05,
        larc=0.1,
        class_weight={"sqrt": True},
    ),
    "maps-ignored-by-keras": replace(
        MAPS, model="own_maps:segmenter_that_ignores", optimizer=None, learning_rate=None, loss=None, class_weight={}
    ),
    "pixel-weights": replace(MAPS, data_args={"weights": True}, loss="categorical_crossentropy"),
    "one-hot-maps": replace(
        MAPS, data_args={"form": "one-hot"}, loss="categorical_crossentropy", class_weight={}, ignore_label=None
    ),
    "by-weight": replace(
        MAPS,
        data_args={"weights": True},
        model="own_maps:segmenter_by_weight",
        optimizer=None,
        learning_rate=None,
        loss=None,
        class_weight={},
    ),
    "images": replace(
        MAPS,
        data="own_maps:pictures",
        model="own_maps:autoencoder",
        loss="binary_crossentropy",
        learning_rate=1.0,
        class_weight={},
        ignore_label=None,
    ),
    # nothing that differs from slice to slice is left: batch normalisation computes from its moving averages
    "frozen": replace(_OWN, model="own:normalized", freeze=("conv2d", "batch_norm*")),
    "rates": replace(
        MOMENTUM,
        model="scinet-dense-tanh",
        model_args={"numnodes": 16},
        pixel_scale="unit",
        optimizer="sgd",
        lr_schedule="cosine",
        layer_lr={"hidden": 0.5},
    ),
    "summed": replace(_OWN, model="own:summed", optimizer=None, momentum=None, learning_rate=None, samples=201),
    "own-step": replace(
        _OWN, model="own_steps:own_step", optimizer=None, momentum=None, learning_rate=None, samples=201
    ),
    "own-step-sum": replace(
        _OWN,
        model="own_steps:own_step",
        model_args={"kind": "sum"},
        optimizer=None,
        momentum=None,
        learning_rate=None,
        samples=201,
    ),
    "two-networks": replace(
        _OWN, model="own_steps:two_networks", optimizer=None, momentum=None, learning_rate=None, samples=201
    ),
    "of-the-guide": replace(
        _OWN, model="own_steps:of_the_guide", optimizer=None, momentum=None, learning_rate=None, samples=201
    ),
    "loss-by-hand": replace(
        _OWN, model="own_steps:loss_by_hand", optimizer=None, momentum=None, learning_rate=None, samples=201
    ),
    "averaged": replace(_OWN, model="own:averaged", optimizer=None, momentum=None, learning_rate=None, samples=201),
    "bfloat16": replace(MOMENTUM, precision="bfloat16"),
    "float16": replace(MOMENTUM, precision="float16"),
    ALL_AT_ONCE: replace(
        MOMENTUM,
        model="own:normalized_with_dropout",
        model_args={},
        data="own:on_disk",
        samples=None,
        test_samples=None,
        optimizer="adam",
        learning_rate=0.003,
        momentum=None,
        lr_schedule="cosine",
        augment={"rotation": 10.0, "noise": 0.05},
        precision="float16",
    ),
    ALONE: replace(MOMENTUM, checkpoint=False, communication=False),
}

# Set-up -> (strategy, processes, cases). A mirrored process has two replicas.
EVERY = {
    "serial": ("serial", 1, tuple(case for case in CASES if case != ALONE)),
    "mirrored": (
        "mirrored",
        1,
        (
            "momentum",
            "last-batch-of-one",
            "adam",
            "l2",
            "sync-batch-norm",
            "batch-norm-one-step",
            "dropout",
            "augment",
            STREAMED,
            "two-inputs",
            "class-weight",
            "rates",
            "summed",
            "own-step",
            "own-step-sum",
            "two-networks",
            "of-the-guide",
            "loss-by-hand",
            "averaged",
            "maps",
            MAPS_STREAMED,
            "maps-ignored-by-keras",
            "float16",
            ALONE,
        ),
    ),
    "multiworker-2": (
        "multiworker",
        2,
        (
            "momentum",
            "last-batch-of-one",
            "l2",
            "own-initial-weights",
            "sync-batch-norm",
            "batch-norm-one-step",
            "own-step",
            "two-networks",
            ALONE,
        ),
    ),
    "horovod-2": ("horovod", 2, tuple(CASES)),
    "horovod-3": (
        "horovod",
        3,
        (
            "momentum",
            "last-batch-of-one",
            "l2",
            "factors",
            "sync-batch-norm",
            "batch-norm-one-step",
            STREAMED,
            "maps",
            MAPS_STREAMED,
            CLIMATE,
            "pixel-weights",
        ),
    ),
    "horovod-4": ("horovod", 4, ("momentum", "last-batch-of-one")),
}
# What `make test` leaves to `make test-long`: set-up -> case -> what proves the same kind of thing in `make test`.
_SERIAL = "the file that compares it with Keras, in one process: "
LONG = {
    "mirrored": {
        "adam": "tests/train/test_options_integration.py, its row adam",
        "l2": "own-initial-weights with horovod-2, whose network has the same penalty",
        "augment": "horovod-2",
        "two-inputs": "horovod-2",
        "class-weight": "maps have weights of classes",
        "rates": "tests/train/test_options_integration.py, its row schedule; factors of layers: " + CLIMATE,
        "summed": "tests/train/test_options_integration.py, its row sum",
        "own-step-sum": "horovod-2",
        "two-networks": "horovod-2",
        "of-the-guide": "horovod-2",
        "averaged": "horovod-2; tests/train/test_options_integration.py, its row ema",
        MAPS_STREAMED: "streamed, and maps",
    },
    "multiworker-2": {
        "l2": "own-initial-weights, whose network has the same penalty",
        "sync-batch-norm": "mirrored: the same code of TensorFlow's strategies",
        "two-networks": "horovod-2, and own-step",
        "batch-norm-one-step": "mirrored: the same code of TensorFlow's strategies",
    },
    "horovod-2": {
        "l2": "own-initial-weights, whose network has the same penalty; the row kernel regularizer of the options",
        "adam": "tests/train/test_options_integration.py, its row adam",
        "factors-bfloat16": "factors, and float16",
        "dropout": "the masks of every set-up; mirrored; all-at-once",
        "class-weight": "maps have weights of classes, sample-weight those of samples",
        MAPS_STREAMED: "streamed, and maps; " + _SERIAL + "test_label_maps.py",
        "maps-ignored-by-keras": "mirrored",
        "pixel-weights": "by-weight, and sample-weight",
        "one-hot-maps": "maps; " + _SERIAL + "test_label_maps.py",
        "images": "maps; " + _SERIAL + "test_label_maps.py",
        "frozen": "tests/train/test_options_integration.py, its row frozen; " + _SERIAL + "test_start.py",
        "rates": "tests/train/test_options_integration.py, its row schedule; factors of layers: " + CLIMATE,
        "summed": "tests/train/test_options_integration.py, its row sum",
        "own-step": "own-step-sum, and of-the-guide; mirrored and multiworker-2",
        "loss-by-hand": "mirrored",
        "bfloat16": "float16",
    },
    "horovod-3": {
        "l2": "own-initial-weights with horovod-2, whose network has the same penalty",
        "factors": "horovod-2",
        "sync-batch-norm": "horovod-2",
        "batch-norm-one-step": "horovod-2",
        "maps": "horovod-2",
        MAPS_STREAMED: "streamed, and maps with horovod-2",
        CLIMATE: "horovod-2",
        "pixel-weights": "by-weight with horovod-2",
    },
    "horovod-4": dict.fromkeys(EVERY["horovod-4"][2], "horovod-3"),
}
IS_LONG = bool(os.environ.get("HPCNN_TEST_LONG"))


def _now(setup: str) -> tuple[str, ...]:
    """Return the cases of a set-up: those of one process are what the others are compared with."""
    cases = EVERY[setup][2]
    if IS_LONG:
        return cases
    if setup == "serial":
        compared = {case for several in EVERY if several != "serial" for case in _now(several)}
        return tuple(case for case in cases if case in compared)
    return tuple(case for case in cases if case not in LONG.get(setup, ()))


SETUPS = {setup: (strategy, processes, _now(setup)) for setup, (strategy, processes, _) in EVERY.items() if _now(setup)}
# Cases that are also stopped and resumed, under these set-ups.
STOPPED: dict[str, tuple[str, ...]] = {
    "serial": (ALL_AT_ONCE,),
    "mirrored": ("dropout",),
    "multiworker-2": ("momentum",),
    "horovod-2": (ALL_AT_ONCE,),
}
# One thing at a time, for `make test-long`: all-at-once has them all.
STOPPED_LONG: dict[str, tuple[str, ...]] = {
    "serial": ("momentum", "adam", "dropout", "augment", "float16", STREAMED),
    "horovod-2": ("maps", "adam", "batch-norm", "dropout", "augment", "float16", "rates", STREAMED, CLIMATE),
}
if IS_LONG:
    STOPPED = {setup: (*cases, *STOPPED_LONG.get(setup, ())) for setup, cases in STOPPED.items()}
REPLICAS = {"serial": 1, "mirrored": 2, "multiworker-2": 2, "horovod-2": 2, "horovod-3": 3, "horovod-4": 4}
