"""Python runs this first in each process of the tests: it hands a training over to the server of warm starts.

It must cost nothing where there is nothing to hand over, so it imports nothing before it knows.
"""

import os
import sys

# The commands and the modules of hpcnn that load TensorFlow in their own process.
_COMMANDS = {"train", "plot", "predict-images", "export"}
_MODULES = {
    *("hpcnn.machine.bench.ranks", "hpcnn.machine.bench.machine"),
    *(
        "tests.train.many_trainings",
        "tests.train.option_trainings",
        "tests.train.broken_reduction",
        "tests.docs.lesson_runner",
        "tests.docs.stage_runner",
    ),
}

# Scripts that load TensorFlow, by their folder.
_SCRIPTS = ("docs/examples/distributed", "/benchmarks/peers/", "tests/user/script_")


def _loads_tensorflow(program: str, first: str = "", *others: str) -> bool:
    """Tell whether these words after ``python`` load TensorFlow as hpcnn does."""
    if program.endswith(".py"):
        return any(folder in program for folder in _SCRIPTS)
    if program == "-m" and first != "hpcnn":
        return first in _MODULES
    command, *options = others or [""] if program == "-m" else (first, *others)
    is_hpcnn = program == "-m" or program.rpartition("/")[2] == "hpcnn"
    return is_hpcnn and command in _COMMANDS and not {"--help", "--dry-run"} & set(options)


if os.environ.get("HPCNN_TEST_WARM_START") and len(sys.orig_argv) > 1 and _loads_tensorflow(*sys.orig_argv[1:]):
    from stand_in import hand_over

    hand_over(os.environ["HPCNN_TEST_WARM_START"])
