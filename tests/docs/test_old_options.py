"""docs/lessons/old-options.md: every old option does today what its line says, and every new one works."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.docs.documents import LESSONS

keras = pytest.importorskip("keras")

_ROW = re.compile(r"^\| [^|`]+ \| `([^`]+)` \| ([^|]+) \| (`[^`]+`|\[[^|]+) \|$", re.MULTILINE)

ROWS = _ROW.findall((LESSONS / "old-options.md").read_text(encoding="utf-8"))


def test_every_line_of_the_tables_is_tried() -> None:
    text = (LESSONS / "old-options.md").read_text(encoding="utf-8")
    shown = text.partition("## Around the code")[0]
    assert len(ROWS) == len(re.findall(r"^\| (?!lecture|---)", shown, re.MULTILINE)) > 30


def names() -> dict[str, Any]:
    """Return what the code of the page takes for granted."""
    import tensorflow as tf

    x, y = np.zeros((64, 4), np.float32), np.eye(2)[np.zeros(64, int)]
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, activation="softmax")])
    model.compile("sgd", "categorical_crossentropy", metrics=["accuracy"])
    known = {**vars(keras.layers), **vars(keras.optimizers), **vars(keras.models), **vars(keras.callbacks)}
    generator = ((x[:32], y[:32]) for _ in range(9))
    return {**known, "keras": keras, "tf": tf, "x": x, "y": y, "model": model, "generator": generator}


def said(code: str) -> tuple[str, Any]:
    """Return what running the code says (an error's name, ``a warning``, ``nothing``), and its value."""
    space = names()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            if re.match(r"from |.* = ", code):
                exec(code, space)
                value = None
            else:
                value = eval(code, space)
        except Exception as error:
            return type(error).__name__, None
    ours = [w for w in caught if "keyword" not in str(w.message)]  # NumPy's own about __array__
    return ("a warning" if ours else "nothing"), value


@pytest.mark.parametrize(("old", "says", "now"), ROWS, ids=[old for old, _, _ in ROWS])
def test_an_old_option_does_what_its_line_says(
    old: str, says: str, now: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if "hvd." in old:
        return  # tests/docs/test_stages.py trains with it
    assert says.partition(":")[0] == said(old)[0]
    assert said(now.strip("`"))[0] == "nothing"


def test_what_changes_results_without_an_error() -> None:
    assert float(said("Adadelta()")[1].learning_rate) == pytest.approx(0.001)
    assert said("Conv2D(20, 5, 5)")[1].strides == (5, 5)
