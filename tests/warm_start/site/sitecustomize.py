"""Python runs this first in each process of the tests: it hands a training over to the server of warm starts.

It must cost nothing where there is nothing to hand over, so it imports nothing before it knows.
"""

import os
import sys

# What loads TensorFlow in its own process: commands of hpcnn, modules, and scripts that say so.
_TRAINING = {"train", "plot", "predict-images", "export", "models", "tensorboard"}
_MODULES = {
    *(f"hpcnn.machine.bench.{name}" for name in ("ranks", "machine", "messages")),
    *(f"tests.train.{name}" for name in ("many_trainings", "option_trainings", "broken_reduction")),
    *("tests.docs.lesson_runner", "tests.docs.stage_runner", "tests.horovod.many_cases"),
}
_IMPORTS = ("import tensorflow", "import keras", "from keras", "import hpcnn", "from tests.user")

# Commands that load pandas, scipy, matplotlib or Optuna.
_TABLES = {"scaling-report", "compare", "predict", "search"}


def _loads(program: str, first: str = "", *others: str) -> str:
    """Tell what these words after ``python`` load: "training", "tables" or "", which is little."""
    if program.endswith(".py"):
        scripts = [word for word in (program, first, *others) if word.endswith(".py")]  # one may run another
        return "training" if any(words in _text_of(script) for script in scripts for words in _IMPORTS) else ""
    if program == "-m" and first != "hpcnn":
        return "training" if first in _MODULES else ""
    command, *options = others or [""] if program == "-m" else (first, *others)
    if not (program == "-m" or program.rpartition("/")[2] == "hpcnn") or {"--help", "--dry-run"} & set(options):
        return ""
    is_training = command in _TRAINING or (command, *options[:1]) == ("data", "stage")
    return "training" if is_training else "tables" if command in _TABLES else ""


def _text_of(script: str) -> str:
    try:
        with open(script, encoding="utf-8", errors="replace") as file:  # noqa: PTH123  # pathlib takes 10 ms
            return file.read()
    except OSError:  # Python will say so
        return ""


if os.environ.get("HPCNN_TEST_WARM_START") and len(sys.orig_argv) > 1:
    _what = _loads(*sys.orig_argv[1:])
    if _what:
        from stand_in import hand_over

        hand_over(f"{os.environ['HPCNN_TEST_WARM_START']}.{_what}")
