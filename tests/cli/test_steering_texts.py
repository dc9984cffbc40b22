"""Texts of records, logs and names cannot steer the terminal, the spreadsheet or the document they end up in."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hpcnn.cli.main import main
from hpcnn.rundir.layout import RunDir
from hpcnn.util.table import Column, emit
from hpcnn.util.text import visible
from tests.synthetic.runs import write_run

STEERS = "\x1b]0;pwned\x07\x1b[2J\x1b[31mred\x9b1m\r\x08\u202egnp.exe\x7f"
SHOWN = r"\x1b]0;pwned\x07\x1b[2J\x1b[31mred\x9b1m\r\x08\u202egnp.exe\x7f"
FORMULAS = ["=1+1", "+1", "-cmd", "@SUM(A1)", "\t=1", "\r=1"]


def hpcnn(*words: object) -> Result:
    ended = CliRunner().invoke(main, [str(word) for word in words])
    assert ended.exit_code == 0, (ended.output, ended.exception)
    return ended


@pytest.fixture
def run(here: Path) -> RunDir:
    run = RunDir(here / "runs" / "study" / "run-1")
    for name in ("run-1", "run-2"):
        write_run(run.path.with_name(name))
    run.job.write_text(json.dumps({"schema": 1, "job_id": "17", "site": STEERS}))
    amend(run.spec, name=STEERS, study=STEERS, site=STEERS)
    amend(run.result, status="failed", reason=STEERS)
    run.log.write_text(f"line\r\n{STEERS}\n", newline="")
    return run


def amend(file: Path, **facts: object) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **facts}))


def steers(text: str) -> set[str]:
    return {sign for sign in text if not (sign.isprintable() or sign == "\n")}


def test_visible() -> None:
    assert visible(STEERS) == SHOWN
    assert visible("a\tb\né – × 数 😀") == "a\tb\né – × 数 😀"


def test_logs(run: RunDir) -> None:
    assert hpcnn("logs", run.path).stdout == f"line\n{SHOWN}\n"


@pytest.mark.parametrize("fmt", ["table", "csv", "json"])
def test_status(run: RunDir, fmt: str) -> None:
    assert not steers(hpcnn("status", "runs", "--format", fmt).stdout)


@pytest.mark.parametrize("fmt", ["table", "markdown", "latex"])
def test_reports(run: RunDir, fmt: str) -> None:
    shown = hpcnn("scaling-report", "runs", "--table", "left-out", "--format", fmt)
    assert not steers(shown.output)
    assert "pwned" in shown.output
    assert not steers(hpcnn("scaling-report", "runs", "--format", fmt).output)


def test_a_message(here: Path) -> None:
    ended = CliRunner().invoke(main, ["status", STEERS])
    assert ended.exit_code == 2
    assert not steers(ended.output)


def test_a_page_and_its_files(run: RunDir) -> None:
    for number in (1, 2):
        amend(run.path.with_name(f"run-{number}") / "spec.json", study=f"=HYPERLINK(1){STEERS}")
    hpcnn("scaling-report", "runs", "--html", "page.html", "--out", "files")
    tables = [file.read_text() for file in Path("files").glob("*.csv")]
    assert len(tables) > 2
    assert not any(steers(text) for text in (*tables, Path("page.html").read_text()))
    begins = "".join(tables)
    assert "'=HYPERLINK(1)" in begins
    assert ",=HYPERLINK" not in begins
    assert "\n=HYPERLINK" not in begins


def test_a_cell_that_begins_a_formula(capsys: pytest.CaptureFixture[str]) -> None:
    emit([{"text": text, "number": -1.5} for text in FORMULAS], "csv", [Column("text", "text")])
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines(keepends=True)))
    assert [row["number"] for row in rows] == ["-1.5"] * len(FORMULAS)
    assert all(row["text"].startswith("'") for row in rows)


@pytest.mark.parametrize("fmt", ["table", "csv"])
def test_settings_of_others_as_headings(run: RunDir, fmt: str) -> None:
    """A heading is no markup of rich, which would raise an error, and no formula."""
    for number in (1, 2):
        amend(run.path.with_name(f"run-{number}") / "spec.json", train={"[/x]": number, f"=1{STEERS}": number})
    shown = hpcnn("runs", "runs", "--format", fmt).stdout
    assert "[/x]" in shown
    assert not steers(shown)
    assert ("'=1" in shown) == (fmt == "csv")
    assert ",=1" not in shown


def test_markup_of_documents(run: RunDir) -> None:
    name = r"[a](http://x) <img> `c` *b* _i_ a_b \ | $x^2$ & % # {y}"
    for number in (1, 2):
        amend(run.path.with_name(f"run-{number}") / "spec.json", study=name)
    markdown = hpcnn("scaling-report", "runs", "--format", "markdown").stdout
    assert "](http" not in markdown.replace(r"\](http", "")
    assert "<img>" not in markdown.replace(r"\<img\>", "")
    latex = hpcnn("scaling-report", "runs", "--format", "latex").stdout
    assert r"\textbackslash{}" in latex
    assert r"\$x\textasciicircum{}2\$ \& \% \# \{y\}" in latex
    assert not [line for line in latex.splitlines() if line.startswith("[")]
