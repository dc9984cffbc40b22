"""Curves of many runs: legends say what differs, and lines that coincide can be told apart."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("matplotlib", reason="drawing needs the extra `report`")

from hpcnn.figures.networks import curves
from tests.synthetic.runs import write_run

SAME, OTHER = [0.5, 0.7, 0.8], [0.2, 0.3, 0.4]


def labels_of(*paths: Path) -> list[str]:
    figure = curves.draw(list(paths))
    return [text.get_text() for text in figure.legends[0].get_texts() if text.get_text().endswith(": test")]


def test_a_legend_says_what_differs(tmp_path: Path) -> None:
    one, two = tmp_path / "s" / "a", tmp_path / "s" / "b"
    write_run(one, accuracies=SAME, ranks=1)
    write_run(two, accuracies=OTHER, ranks=2, train={"precision": "bfloat16"})
    assert labels_of(one, two) == [
        "precision float32, ntasks 1: test",
        "precision bfloat16, ntasks 2: test",
    ]


def test_runs_that_do_not_differ_are_named(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in "abc"]
    for path, ranks in zip(paths, (1, 1, 2), strict=True):
        write_run(path, accuracies=SAME, ranks=ranks)
    assert labels_of(*paths) == ["ntasks 1 (a): test", "ntasks 1 (b): test", "ntasks 2: test"]
    assert labels_of(*paths[:2]) == ["a: test", "b: test"]


def test_lines_that_coincide_differ_in_width_and_their_markers_take_turns(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in "abc"]
    for path, accuracies in zip(paths, (SAME, OTHER, [value + 1e-4 for value in SAME]), strict=True):
        write_run(path, accuracies=accuracies)
    first, apart, second = (line for line in curves.draw(paths).axes[0].lines if line.get_label().endswith(": test"))
    assert first.get_linewidth() > second.get_linewidth() == apart.get_linewidth()
    assert first.get_markevery() == (0, 2)
    assert second.get_markevery() == (1, 2)
    assert apart.get_markevery() == (0, 1)
