"""`hpcnn scaling-report --pictures`: the runs of each row, and the network that one of them kept, on the page."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from hpcnn.cli.main import main


@pytest.fixture(scope="module")
def study(digits_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return two repeats of one training, one with its network kept, and one of another precision without."""
    folder = tmp_path_factory.mktemp("study")
    shutil.copytree(digits_run, folder / "a-plain", ignore=shutil.ignore_patterns("checkpoints"))
    shutil.copytree(digits_run, folder / "b-kept")
    shutil.copytree(digits_run, folder / "other", ignore=shutil.ignore_patterns("checkpoints"))
    amend(folder / "other", precision="bfloat16")
    return folder


def amend(run: Path, **changes: Any) -> None:
    for name in ("spec.json", "provenance.json"):
        record = json.loads((run / name).read_text())
        record["train"] |= changes
        (run / name).write_text(json.dumps(record))


def report(*words: object) -> Result:
    return CliRunner().invoke(main, ["scaling-report", "--no-cache", *map(str, words)])


def section(page: str) -> list[str]:
    """Return the rows of the section of runs, each from its heading on."""
    return page.partition('<section id="runs"')[2].partition("</section>")[0].split("<h3>")[1:]


def test_each_row_has_its_runs_and_the_network_that_was_kept(study: Path, tmp_path: Path) -> None:
    ended = report(study, "--pictures", "--html", tmp_path / "page.html", "--out", tmp_path / "out")
    assert ended.exit_code == 0, ended.output
    page = (tmp_path / "page.html").read_text()
    other, kept = section(page)
    pictures = re.findall(
        r'<figure id="plot-(run-\w+-2)">\s*<h4>.*?</h4>\s*<img src="data:image/png;base64,iVBOR', kept
    )
    assert pictures == ["run-curves-2", "run-confusion-2", "run-digits-2"]
    assert "accuracy and loss by epoch of 2 runs" in kept
    assert "Confusion matrix of b-kept: psc-cnn-dropout on digits, epoch 2, test accuracy" in kept
    assert "checkpoint" not in kept
    assert re.findall(r'figure id="plot-([\w-]+)"', other) == ["run-curves-1"]
    assert "None of these runs kept its network" in other
    assert "checkpoint = true" in other
    assert not re.findall(r'(?:src|href)="(?!data:|#)', page)
    files = {path.name for path in (tmp_path / "out").glob("run-*")}
    names = ("run-curves-1", "run-curves-2", "run-confusion-2", "run-digits-2")
    assert files == {f"{name}.{form}" for name in names for form in ("png", "svg", "pdf")}


def test_without_the_option_no_run_is_drawn(study: Path, tmp_path: Path) -> None:
    assert report(study, "--html", tmp_path / "page.html").exit_code == 0
    assert 'id="runs"' not in (tmp_path / "page.html").read_text()


def test_a_network_that_cannot_be_read_is_said_on_the_page(study: Path, tmp_path: Path) -> None:
    shutil.copytree(study / "b-kept", tmp_path / "runs" / "changed")
    amend(tmp_path / "runs" / "changed", model="scinet-cnn1")
    ended = report(tmp_path / "runs", "--pictures", "--html", tmp_path / "page.html")
    assert ended.exit_code == 0, ended.output
    (row,) = section((tmp_path / "page.html").read_text())
    assert "The network that changed kept is not drawn:" in row
    assert "these are not the weights of the network that scinet-cnn1 builds now" in row


def test_pictures_need_a_place(study: Path) -> None:
    ended = report(study, "--pictures")
    assert ended.exit_code == 2
    assert "--pictures: runs are drawn with --html or --out" in ended.output
