"""The spec of a training: all options that decide its numbers, and none of the machine that it runs on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hpcnn.specs.fields import NO_KEYS, field
from hpcnn.util.errors import UsageError, bad_value
from hpcnn.util.types import Json
from hpcnn.zoo.default import DEFAULT_MODEL

STRATEGIES = ("serial", "mirrored", "multiworker", "horovod")

OPTIMIZERS = ("sgd", "rmsprop", "adam", "adadelta", "adagrad", "adamw", "nadam")

LOSSES = (
    "mean_squared_error",
    "mean_absolute_error",
    "binary_crossentropy",
    "categorical_crossentropy",
    "sparse_categorical_crossentropy",
    "negative_log_likelihood",
)

PRECISIONS = ("float32", "bfloat16", "float16")

LR_SCALINGS = ("none", "linear", "sqrt")

PIXEL_SCALES = ("raw", "unit")

FLIPS = ("none", "horizontal", "vertical", "both")

CACHES = ("memory", "local-disk", "none")

FILLS = ("nearest", "constant", "reflect", "wrap")

LARGEST_SEED = 2**31 - 1

# Keras's files that hold weights.
WEIGHTS_SUFFIXES = (".keras", ".weights.h5")

# Steps: at most those of one call (train/loop.py), and no more than a browser can show.
LONGEST_PROFILE = 64


@dataclass(frozen=True)
class AugmentSpec:
    """Data augmentation: the largest changes of training images; each image is changed anew in every epoch.

    Tone, colour and noise are shares of the range of the pixels (0 to 255, say).
    """

    rotation: float = field(0.0, "Degrees by which it is turned, either way.", minimum=0.0, maximum=180.0)
    zoom: float = field(0.0, "Share by which it grows or shrinks.", minimum=0.0, maximum=0.9)
    translation: float = field(0.0, "Share of height and width by which it moves.", minimum=0.0, maximum=1.0)
    flip: str = field("none", "Mirrored, one time in two.", choices=FLIPS)
    fill: str = field("nearest", "What moves in from beyond its edges.", choices=FILLS)
    brightness: float = field(0.0, "Added to all its pixels.", minimum=0.0, maximum=1.0)
    contrast: float = field(0.0, "Share by which distances from its mean grow or shrink.", minimum=0.0, maximum=1.0)
    gamma: float = field(0.0, "Share by which the exponent of its pixels differs from 1.", minimum=0.0, maximum=0.9)
    hue: float = field(0.0, "Share of the circle of colours by which it is turned.", minimum=0.0, maximum=0.5)
    saturation: float = field(0.0, "Added to its saturation.", minimum=0.0, maximum=1.0)
    value: float = field(0.0, "Added to its value, the largest of red, green and blue.", minimum=0.0, maximum=1.0)
    noise: float = field(0.0, "Standard deviation of what is added to each pixel.", minimum=0.0, maximum=1.0)
    move_probability: float = field(1.0, "Images turned, zoomed and moved, as a share.", minimum=0.0, maximum=1.0)
    tone_probability: float = field(
        1.0, "The same for brightness, contrast and gamma, each by itself.", minimum=0.0, maximum=1.0
    )
    colour_probability: float = field(1.0, "The same for hue, saturation and value together.", minimum=0.0, maximum=1.0)


@dataclass(frozen=True)
class TrainSpec:
    """A training: all options that decide its numbers, and none of the machine that it runs on."""

    model: str = field(
        "",
        "Network of the zoo (see `hpcnn models`) or package.module:function; without, the one for the data: "
        f"{DEFAULT_MODEL} for digits.",
    )
    model_args: dict[str, Json] = field(
        NO_KEYS, "A keyword of the model function; may be repeated.", option="--model-arg"
    )
    weights: str | None = field(None, "Start from the weights in this file, .keras or .weights.h5.")
    weights_except: tuple[str, ...] = field(
        (), "Layer that keeps its own initial weights (a name, or a pattern such as 'head*'); may be repeated."
    )
    freeze: tuple[str, ...] = field(
        (), "Layer that is not trained (a name, or a pattern such as 'conv*'); may be repeated."
    )
    data: str = field(
        "digits",
        "Data set (see `hpcnn data list`), FILE.npz, files of a form (h5:FILE, images:DIR, ...: see `hpcnn data`) or "
        "package.module:function.",
    )
    data_args: dict[str, Json] = field(
        NO_KEYS, "An option of the data set, or a keyword of the data function; may be repeated.", option="--data-arg"
    )
    samples: int | None = field(None, "Training samples: the first N, or the set expanded to N by shifts.", minimum=1)
    expand: int = field(1, "Times the training samples: 5 is each image and its four one-pixel shifts.", minimum=1)
    test_samples: int | None = field(None, "Test samples: the first N.", minimum=1)
    shuffle: str = field(
        "global",
        "Order of an epoch: all samples mixed (global), N neighbours read together (block:N), the same with blocks "
        "that stay with their node (node:N), as in the files (none).",
    )
    cache: str | None = field(
        None,
        "Where data of a form is kept while it is trained on; without, it is read as it goes (none).",
        choices=CACHES,
    )
    image_size: str | None = field(None, "Height and width of the pictures of images:DIR, HxW or one number for both.")
    skip_bad: int = field(0, "Bad samples that their next neighbours may replace; one more ends the run.", minimum=0)
    strategy: str = field("serial", "How ranks share the work.", choices=STRATEGIES)
    devices: int | None = field(
        None, "Replicas of a mirrored process: GPUs, or logical CPU devices where there is no GPU.", minimum=1
    )
    epochs: int | None = field(None, "Passes over the training samples.", minimum=1, recipe=True)
    batch_size: int | None = field(
        None, "Global batch size: samples a step over all ranks together.", minimum=1, recipe=True
    )
    optimizer: str | None = field(None, "Optimizer.", choices=OPTIMIZERS, recipe=True)
    learning_rate: float | None = field(None, "Learning rate before scaling.", above=0.0, recipe=True)
    momentum: float | None = field(None, "Momentum (sgd and rmsprop).", minimum=0.0, maximum=1.0, recipe=True)
    lr_schedule: str | None = field(
        None,
        "Learning rate by epoch: step:N:GAMMA, milestones:N,N,...:GAMMA, exponential:GAMMA, cosine or cosine:SHARE.",
    )
    layer_lr: dict[str, Json] = field(
        NO_KEYS, "Factor of the learning rate of a layer, LAYER=FACTOR; may be repeated.", option="--layer-lr"
    )
    larc: float | None = field(
        None,
        "Layer-wise adaptive rate control: a layer's rate is at most this times its weights' norm by its gradient's.",
        above=0.0,
    )
    loss: str | None = field(None, "Loss.", choices=LOSSES, recipe=True, own=True)
    class_weight: dict[str, Json] = field(
        NO_KEYS,
        "Weight of a class in the loss, CLASS=WEIGHT (1 where not given; may be repeated); or from how often each "
        "class is there: sqrt (one over the root of its share) or balanced; or a file of JSON with a list of weights.",
        flags=True,
    )
    ignore_label: int | None = field(None, "Label of pixels that count for nothing, in maps of classes (255, say).")
    pixel_scale: str | None = field(
        None, "Integer pixels as they are (raw) or divided by 255 (unit).", choices=PIXEL_SCALES, recipe=True
    )
    augment: dict[str, Json] = field(
        NO_KEYS,
        "A change of the training images beside the recipe's: rotation=10, zoom=0.1, noise=0.02, ...; may be repeated.",
        table=AugmentSpec,
    )
    augmentation: bool = field(True, "Change training images as --augment and the lecture's recipe say.")
    lr_scaling: str = field(
        "none", "Scale the learning rate by global batch / the lecture's batch.", choices=LR_SCALINGS
    )
    warmup_epochs: float = field(0.0, "Epochs over which a scaled learning rate is reached.", minimum=0.0)
    precision: str = field("float32", "Arithmetic; weights stay float32.", choices=PRECISIONS)
    sync_batch_norm: bool = field(False, "Batch normalisation over the global batch instead of each rank's part.")
    seed: int = field(1, "Fixes initial weights, sample order and dropout.", minimum=0, maximum=LARGEST_SEED)
    target_accuracy: float | None = field(
        None, "Stop after the epoch that reaches this test accuracy.", above=0.0, maximum=1.0
    )
    communication: bool = field(
        True, "Sum gradients over the ranks; without, a run measures the ceiling and trains nothing."
    )
    evaluate: bool = field(True, "Evaluate on the test set after every epoch; never with --no-communication.")
    tensorboard: bool = field(False, "Write TensorBoard logs below the run directory.")
    profile: int | None = field(
        None,
        "Record N steps with TensorFlow's profiler, at most: trace.rankNNNNN.json.gz (see `hpcnn profile`).",
        minimum=1,
        maximum=LONGEST_PROFILE,
    )
    checkpoint: bool = field(False, "Write checkpoints/epoch-NNN.keras after every epoch (rank 0).")
    checkpoint_best: bool = field(False, "Keep one checkpoint: that of the epoch with the best test accuracy so far.")
    evaluate_training: bool = field(
        False, "After training, evaluate on the training set too, with dropout off and the final weights."
    )

    def __post_init__(self) -> None:
        if not self.model:
            from hpcnn.zoo.catalogue import default_model

            object.__setattr__(self, "model", default_model(self.data))

    def derived_defaults(self) -> dict[str, Json]:
        """Return the defaults that follow from other fields: the network is the one for the data."""
        from hpcnn.zoo.catalogue import default_model

        return {"model": default_model(self.data)}


def check_strategy(train: TrainSpec, spell: Callable[[str], str] = str) -> None:
    """Raise UsageError for an option that has no effect with the strategy. ``spell``: as in ``from_mapping``."""
    if not train.communication and train.strategy == "serial":
        raise bad_value(spell("communication"), "false", f"true with {spell('strategy')} serial, which has none")
    if train.devices is not None and train.strategy != "mirrored":
        raise bad_value(spell("devices"), train.devices, f"no value unless {spell('strategy')} is mirrored")


def check_weights(train: TrainSpec, spell: Callable[[str], str] = str) -> None:
    """Raise UsageError for a file of weights of another kind, and for layers that no file would give weights.

    ``spell``: as in ``from_mapping``.
    """
    if train.weights is None:
        if train.weights_except:
            raise bad_value(spell("weights_except"), train.weights_except[0], f"no value without {spell('weights')}")
    elif not train.weights.endswith(WEIGHTS_SUFFIXES):
        hint = ""
        if train.weights.endswith((".h5", ".hdf5")):
            hint = " (load an older .h5 file in Keras, and write it by model.save_weights('NAME.weights.h5'))"
        raise bad_value(spell("weights"), train.weights, f"a file that ends in {' or '.join(WEIGHTS_SUFFIXES)}{hint}")


def check_weights_file(train: TrainSpec) -> None:
    """Raise UsageError where the file of weights is not there."""
    from pathlib import Path

    if train.weights is not None and not Path(train.weights).is_file():
        raise UsageError(f"--weights: there is no file {train.weights!r}")


def usual_strategy(ranks: int) -> str:
    """Return the strategy of a training whose user names none: Horovod as soon as there are several ranks."""
    return "horovod" if ranks > 1 else "serial"
