"""The page of each lecture: its commands run, and its figures are those of the recipes."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hpcnn.zoo import recipes_climate, recipes_exercises
from hpcnn.zoo.registry import RECIPES
from tests.docs.documents import DECKS, LESSONS, ROOT
from tests.long_tests import LONG

Ended = dict[str, list[tuple[str, int, str]]]

# The table "What to expect": model, parameters, epochs x batch, training, test.
_ROW = re.compile(r"^\| `([\w-]+)` \| ([\d,]+) \| ([\d,]+) x (\d+) \| ([\d.]*)[ %]*\| ([\d.]*)[ %]*\|", re.MULTILINE)


def _is_long(page: Path) -> bool:
    return f"tests/docs/test_lessons.py::test_the_commands_of_a_lesson_run[{page.stem}]" in LONG


@pytest.fixture(scope="module")
def ended(command: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Ended:
    """Return how the commands ended: of the pages of `make test`, or of those that it leaves out."""
    pytest.importorskip("tensorflow", reason="a training needs TensorFlow (make venv)")
    folder = tmp_path_factory.mktemp("lessons")
    pages = [page for page in DECKS if _is_long(page) == bool(os.environ.get("HPCNN_TEST_LONG"))]
    words = (sys.executable, "-m", "tests.docs.lesson_runner", "out.json", *pages)
    result = command(*words, cwd=folder, timeout=400, PYTHONPATH=str(ROOT))
    assert result.returncode == 0, result.stdout + result.stderr
    found: Ended = json.loads((folder / "out.json").read_text())
    return found


@pytest.mark.slow
@pytest.mark.parametrize("page", DECKS, ids=lambda page: page.stem)
def test_the_commands_of_a_lesson_run(page: Path, ended: Ended) -> None:
    assert len(ended[str(page)]) > 8
    failed = [f"{text!r} ended with {code}: {printed}" for text, code, printed in ended[str(page)] if code]
    assert not failed, "\n".join(failed)


@pytest.mark.parametrize("page", DECKS, ids=lambda page: page.stem)
def test_the_figures_of_a_lesson_are_those_of_the_recipes(page: Path) -> None:
    rows = _ROW.findall(page.read_text(encoding="utf-8"))
    assert rows
    for model, parameters, epochs, batch, training, test in rows:
        recipe = RECIPES[model]
        assert (parameters, epochs) == (f"{recipe.parameters:,}", f"{recipe.epochs:,}"), model
        assert int(batch) == recipe.batch_size, model
        for shown, key in ((training, "train_accuracy"), (test, "test_accuracy")):
            assert float(shown or "nan") == pytest.approx(100 * recipe.reported.get(key, float("nan")), nan_ok=True), (
                model
            )


def test_every_network_has_a_lesson() -> None:
    named = {row[0] for page in DECKS for row in _ROW.findall(page.read_text(encoding="utf-8"))}
    own = {recipe.id for recipe in (*recipes_exercises.RECIPES, *recipes_climate.RECIPES)}  # docs/data.md
    own |= {"psc-hparams"}  # docs/search.md
    assert named == set(RECIPES) - own


def test_the_tests_that_the_overview_names_are_there() -> None:
    rows = re.findall(r"^\| .* \| `([\w/.]+)` \|$", (LESSONS / "coverage.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert len(rows) > 30
    assert not [name for name in rows if not (ROOT / name).is_file()]


def test_the_options_that_the_overview_names_are_there() -> None:
    from hpcnn.cli.main import COMMANDS
    from hpcnn.cli.submit import command

    text = (LESSONS / "coverage.md").read_text(encoding="utf-8")
    known = {option for parameter in command.params for option in parameter.opts}
    elsewhere = {"--input-shape", "--table", "--nv", "--dry-run"}  # of other commands, and of Singularity
    assert set(re.findall(r"--[a-z][a-z-]+", text)) <= known | elsewhere
    assert set(re.findall(r"`hpcnn ([a-z-]+)", text)) <= set(COMMANDS)
