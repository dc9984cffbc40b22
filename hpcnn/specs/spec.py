"""The nouns of hpcnn: what to train, on what resources, as which job, in which study.

Frozen dataclasses. Each field says in its metadata what it means and which values it takes; the same words become the
command-line option, the key of a study file and the error message, so the three cannot drift apart. This module must
not know how anything is run, and imports nothing heavy.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

from hpcnn.util.errors import UsageError, bad_value, unknown_value
from hpcnn.zoo.catalogue import DEFAULT_MODEL, default_model

T = TypeVar("T")

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
STUDY_KINDS = ("strong", "weak", "throughput")
FLIPS = ("none", "horizontal", "vertical", "both")
FILLS = ("nearest", "constant", "reflect", "wrap")
LARGEST_SEED = 2**31 - 1
# Steps: those of one call (train/loop.py), and as many as a browser still shows.
LONGEST_PROFILE = 64

# The default of a field that is a table of its own.
NO_KEYS = object()


def field(
    default: Any,
    help_text: str,
    *,
    choices: tuple[str, ...] | None = None,
    minimum: float | None = None,
    above: float | None = None,
    maximum: float | None = None,
    recipe: bool = False,
    option: str | None = None,
    texts: bool = False,
    table: type | None = None,
    own: bool = False,
) -> Any:
    """Return a dataclass field with what a user must know of it.

    recipe: the default None means "what the lecture used for this network". option: the command-line option, where it
    is not the field's own name. texts: the values of a table stay texts, whatever they spell. table: the spec whose
    fields are the keys of a table, where only those are valid. own: besides the choices, ``package.module:function``.
    """
    facts = {
        "help": help_text,
        "choices": choices,
        "minimum": minimum,
        "above": above,
        "maximum": maximum,
        "recipe": recipe,
        "option": option,
        "texts": texts,
        "table": table,
        "own": own,
    }
    if default is NO_KEYS:
        return dataclasses.field(default_factory=dict, metadata=facts)
    return dataclasses.field(default=default, metadata=facts)


@dataclass(frozen=True)
class AugmentSpec:
    """By how much training images are changed at most; each is changed anew in every epoch.

    Of tone and colour, and noise: shares of the range of the pixels (0 to 255, say).
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
    """What to train and how: everything that decides the numbers, nothing that decides the machine."""

    model: str = field(
        "",
        "Network of the zoo (see `hpcnn models`) or package.module:function; without, the one for the data: "
        f"{DEFAULT_MODEL} for digits.",
    )
    model_args: dict[str, Any] = field(
        NO_KEYS, "A keyword of the model function; may be repeated.", option="--model-arg"
    )
    data: str = field("digits", "Data set (see `hpcnn data list`), FILE.npz or package.module:function.")
    data_args: dict[str, Any] = field(
        NO_KEYS, "An option of the data set, or a keyword of the data function; may be repeated.", option="--data-arg"
    )
    samples: int | None = field(None, "Training samples: the first N, or the set expanded to N by shifts.", minimum=1)
    expand: int = field(1, "Times the training samples: 5 is each image and its four one-pixel shifts.", minimum=1)
    test_samples: int | None = field(None, "Test samples: the first N.", minimum=1)
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
    layer_lr: dict[str, Any] = field(
        NO_KEYS, "Factor of the learning rate of a layer, LAYER=FACTOR; may be repeated.", option="--layer-lr"
    )
    loss: str | None = field(None, "Loss.", choices=LOSSES, recipe=True, own=True)
    class_weight: dict[str, Any] = field(
        NO_KEYS, "Weight of a class in the loss, CLASS=WEIGHT (1 where not given); may be repeated."
    )
    pixel_scale: str | None = field(
        None, "Integer pixels as they are (raw) or divided by 255 (unit).", choices=PIXEL_SCALES, recipe=True
    )
    augment: dict[str, Any] = field(
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
            object.__setattr__(self, "model", default_model(self.data))


@dataclass(frozen=True)
class Resources:
    """What a job needs, in Slurm's words."""

    nodes: int = field(1, "Nodes.", minimum=1)
    ntasks: int = field(1, "Tasks (ranks) in all.", minimum=1)
    ntasks_per_node: int | None = field(None, "Tasks of each node, instead of --ntasks.", minimum=1)
    cpus_per_task: int | None = field(None, "Processor cores of each task.", minimum=1)
    gpus_per_node: int | None = field(None, "GPUs of each node; one rank drives one GPU.", minimum=1)
    gpu_type: str | None = field(None, "Type of GPU, as the site names it.")
    time: str | None = field(None, "Walltime limit: minutes, H:MM:SS or D-HH:MM:SS.")
    account: str | None = field(None, "Account that is charged.")
    partition: str | None = field(None, "Partition.")
    qos: str | None = field(None, "Quality of service.")
    mem: str | None = field(None, "Memory of each node, e.g. 16G.")
    constraint: str | None = field(None, "Features the nodes must have.")
    requeue: bool = field(
        False, "Let the job start again after its time limit, a node failure or preemption; a training goes on."
    )
    requeue_limit: int = field(10, "Times a job requeues itself at its time limit, with --requeue.", minimum=0)
    sbatch_options: dict[str, Any] = field(
        NO_KEYS, "Any other option of sbatch; may be repeated.", option="--sbatch-option", texts=True
    )

    def __post_init__(self) -> None:
        if self.ntasks_per_node is not None:
            if self.ntasks not in (1, self.nodes * self.ntasks_per_node):
                raise UsageError(
                    f"ntasks: {self.ntasks} tasks are not {self.nodes} nodes x {self.ntasks_per_node} tasks per node"
                )
            object.__setattr__(self, "ntasks", self.nodes * self.ntasks_per_node)


@dataclass(frozen=True)
class SoftwareSpec:
    """What the ranks run in: a container or modules, and their environment."""

    container: str | None = field(None, "Container image (SIF) that the ranks run in.")
    bind: tuple[str, ...] = field((), "Folder that the container sees, SRC[:DEST]; may be repeated.")
    module: tuple[str, ...] = field((), "Module to load after the site's own; may be repeated.")
    env: dict[str, Any] = field(NO_KEYS, "Variable that the job exports; may be repeated.", texts=True)


@dataclass(frozen=True)
class JobSpec:
    """One job: a training, or the user's own program, on resources, at a site."""

    name: str
    site: str
    resources: Resources
    train: TrainSpec | None = None
    program: tuple[str, ...] = ()
    software: SoftwareSpec = SoftwareSpec()
    study: str | None = None
    kind: str | None = None
    point: dict[str, Any] = dataclasses.field(default_factory=dict)
    repeat: int = 1

    def __post_init__(self) -> None:
        if (self.train is None) == (not self.program):
            raise UsageError("a job trains a model or runs a program: give the one or the other")
        check_ranks(self.resources, self.train)


@dataclass(frozen=True)
class StudySpec:
    """Many jobs that differ along axes, each repeated."""

    name: str = field(dataclasses.MISSING, "Name of the study's folder.")
    kind: str = field("throughput", "What the points have in common.", choices=STUDY_KINDS)
    description: str = field("", "One line for people.")
    repeats: int = field(1, "Runs of each point.", minimum=1)
    seeds: tuple[int, ...] = field((), "Seed of each repeat, in turn.", minimum=0, maximum=LARGEST_SEED)
    train: dict[str, Any] = field(NO_KEYS, "Fields of TrainSpec that all points share.")
    resources: dict[str, Any] = field(NO_KEYS, "Fields of Resources that all points share.")
    software: dict[str, Any] = field(NO_KEYS, "Fields of SoftwareSpec that all points share.")
    axes: dict[str, Any] = field(NO_KEYS, "Field -> list of its values; the points are their product.")
    points: tuple[dict[str, Any], ...] = field((), "Points that are no product of axes.")
    program: tuple[str, ...] = field((), "The user's own program, instead of a training.")


def check_ranks(resources: Resources, train: TrainSpec | None, spell: Callable[[str], str] = str) -> None:
    """Raise UsageError where the strategy cannot use the tasks that were asked for. ``spell``: as in from_mapping."""
    ntasks, strategy = spell("ntasks"), spell("strategy")
    if resources.ntasks < resources.nodes:
        raise bad_value(ntasks, resources.ntasks, f"at least one task on each of the {resources.nodes} nodes")
    if train is None:
        return
    if train.strategy in ("serial", "mirrored") and resources.ntasks != 1:
        advice = "horovod or multiworker" if train.strategy == "serial" else "multiworker"
        raise bad_value(
            ntasks,
            resources.ntasks,
            f"1 with {strategy} {train.strategy}, which is one process (for several: {strategy} {advice})",
        )
    check_strategy(train, spell)


def check_strategy(train: TrainSpec, spell: Callable[[str], str] = str) -> None:
    """Raise UsageError for what the strategy would make no use of. ``spell``: as in from_mapping."""
    if not train.communication and train.strategy == "serial":
        raise bad_value(spell("communication"), "false", f"true with {spell('strategy')} serial, which has none")
    if train.devices is not None and train.strategy != "mirrored":
        raise bad_value(spell("devices"), train.devices, f"no value unless {spell('strategy')} is mirrored")


@cache
def hints(cls: Any) -> dict[str, Any]:
    """Return the resolved type of every field of a spec class."""
    return typing.get_type_hints(cls)


def plain_type(hint: Any) -> type:
    """Return int for ``int | None``, dict for ``dict[str, Any]`` and so on."""
    if isinstance(hint, types.UnionType):
        hint = next(part for part in typing.get_args(hint) if part is not type(None))
    origin: type = typing.get_origin(hint) or hint
    return origin


def from_mapping(cls: type[T], values: Mapping[str, Any], where: str = "", spell: Callable[[str], str] = str) -> T:
    """Make a spec from keys and values, as a TOML table or the command line gives them.

    where: comes before the key in errors (``[train] ``). spell: how errors write a key (as an option, say).
    Raises UsageError naming the key, the value and what is valid, for an unknown key (with a suggestion), a wrong
    type, or a value out of range.
    """
    fields = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    clean = {}
    for key, value in values.items():
        if key not in fields:
            raise unknown_value(f"{where}key", key, fields)
        clean[key] = check_field(cls, key, value, f"{where}{spell(key)}")
    try:
        return cls(**clean)
    except UsageError as error:  # of values that do not go together
        raise UsageError(f"{where}{error}") from error


def check_field(cls: type, key: str, value: Any, name: str) -> Any:
    """Return ``value`` in the type of the field ``key``, or raise UsageError saying what is expected of ``name``."""
    facts = next(f.metadata for f in dataclasses.fields(cls) if f.name == key)
    return _check(name, value, hints(cls)[key], facts)


_TYPE_WORDS = {
    int: "a whole number",
    float: "a number",
    str: "a string",
    bool: "true or false",
    dict: "a table",
    tuple: "a list",
}


def _check(name: str, value: Any, hint: Any, facts: Mapping[str, Any]) -> Any:
    if value is None and type(None) in typing.get_args(hint):
        return None
    wanted = plain_type(hint)
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if wanted is tuple and isinstance(value, list):
        value = tuple(value)
    if not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):
        raise bad_value(name, value, _TYPE_WORDS[wanted])
    if isinstance(value, tuple):  # the facts of a list are those of each item
        return tuple(_check(name, item, typing.get_args(hint)[0], facts) for item in value)
    if facts.get("table") and isinstance(value, dict):
        checked = from_mapping(facts["table"], value, f"{name}: ")
        return {key: getattr(checked, key) for key in value}
    _check_range(name, value, facts)
    return value


def _check_range(name: str, value: Any, facts: Mapping[str, Any]) -> None:
    choices = facts.get("choices")
    if choices and facts.get("own"):
        if value not in choices and ":" not in value:
            raise unknown_value(name, value, [*choices, "package.module:function"])
    elif choices and value not in choices:
        raise unknown_value(name, value, choices)
    if isinstance(value, float) and not math.isfinite(value):
        raise bad_value(name, value, "a finite number")
    minimum, above, maximum = facts.get("minimum"), facts.get("above"), facts.get("maximum")
    if minimum is not None and value < minimum:
        raise bad_value(name, value, f"at least {minimum:.10g}")
    if above is not None and value <= above:
        raise bad_value(name, value, f"more than {above:.10g}")
    if maximum is not None and value > maximum:
        raise bad_value(name, value, f"at most {maximum:.10g}")


def to_mapping(spec: Any) -> dict[str, Any]:
    """Return a spec as plain dictionaries and lists, ready for JSON."""
    mapping: dict[str, Any] = dataclasses.asdict(spec)
    return mapping


def given(spec: Any) -> dict[str, Any]:
    """Return only the fields of a spec that differ from their defaults."""
    default = type(spec)()
    values = dict(vars(spec))
    if isinstance(spec, TrainSpec) and spec.model == default_model(spec.data):
        del values["model"]
    return {key: value for key, value in values.items() if key == "model" or value != getattr(default, key)}
