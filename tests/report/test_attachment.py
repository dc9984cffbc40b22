"""The pages to attach to a proposal: every part that a call asks for, and what was not measured said to be so."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest
from click.testing import CliRunner

pytest.importorskip("matplotlib", reason="pictures need matplotlib: pip install 'hpcnn[report]'")

from hpcnn.cli.main import main
from hpcnn.report.views.view import View
from hpcnn.report.views.write import latex_columns, latex_escaped
from hpcnn.util.table import Column
from tests.synthetic.runs import write_run

NAME = "50%_<b> \u2192 \u540d"
PARTS = [
    "Request",
    "Code",
    "Machine",
    "Strong scaling",
    "Weak scaling",
    "Memory, input and output, energy",
    "Justification of the hours",
    "Quality of the measurement",
]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Write two runs on 1 and on 2 ranks of a study with a hostile name."""
    folder = tmp_path_factory.mktemp("attached")
    for ranks in (1, 2):
        for repeat in (1, 2):
            seconds = [10.0 / ranks**0.8 + 0.01 * repeat] * 3
            write_run(folder / f"{ranks}-{repeat}", study=NAME, ranks=ranks, repeat=repeat, seconds=seconds)
    return folder


def attach(study, file, *options):
    words = ["scaling-report", str(study), "--table", "proposal", "--attach", str(file), *options]
    return CliRunner().invoke(main, words)


def test_a_page_has_all_parts(study, tmp_path):
    result = attach(study, tmp_path / "request.html", "--trainings", "50")
    assert result.exit_code == 0, result.output
    page = (tmp_path / "request.html").read_text()
    assert re.findall(r'<h2 id="part-\d">\d\. (.*?)</h2>', page) == PARTS
    assert "Request for computing time: hours of 50 trainings of cnn on digits" in page
    assert re.search(r"Ask for: 50 trainings on \d rank", page)
    assert page.count("<svg") == 3
    assert "Not measured." in page  # weak scaling
    assert "energy: not measured" in page
    assert "<b>" not in page
    assert "of the 17 rules are met" in page


def test_a_document_of_latex_has_all_parts_and_its_pictures(study, tmp_path):
    result = attach(study, tmp_path / "request.tex", "--trainings", "50")
    assert result.exit_code == 0, result.output
    text = (tmp_path / "request.tex").read_text()
    assert re.findall(r"\\section\{(.*?)\}", text) == PARTS
    pictures = re.findall(r"\\includegraphics\[.*?\]\{\\detokenize\{(.*?)\}\}", text)
    assert len(pictures) == 3
    assert all((tmp_path / name).read_bytes().startswith(b"%PDF") for name in pictures)
    for name in ("longtable", "figure", "description", "document"):
        assert text.count(rf"\begin{{{name}}}") == text.count(rf"\end{{{name}}}") > 0
    assert r"50\%\_\textless{}b\textgreater{}" in text
    assert r"\textgreater{} {[}U+2192] {[}U+540D]" in text
    assert not re.search(r"(?<!\\)[&%#_](?=[^\n]*\\caption)", text)


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex: texlive-latex-recommended")
def test_latex_makes_a_document_of_it(study, tmp_path):
    assert attach(study, tmp_path / "request.tex", "--trainings", "50").exit_code == 0
    words = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "request.tex"]
    done = subprocess.run(words, cwd=tmp_path, check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout
    assert (tmp_path / "request.pdf").is_file()
    # within a page's margin, and no more than a rounding error
    assert all(float(points) < 1 for points in re.findall(r"Overfull \\hbox \(([\d.]+)pt", done.stdout)), done.stdout


def test_sentences_take_lines_and_numbers_their_width():
    """The rules of reporting were cut at the edge of the paper."""
    rows = [{"n": 1, "why": "because " * 20, "what": "so " * 10}]
    view = View("", rows, [Column("n", "n", right=True), Column("why", "why"), Column("what", "what")])
    parts = [float(part) for part in re.findall(r"p\{([\d.]+)\\textwidth\}", latex_columns(view))]
    assert 0.9 < sum(parts) < 1
    assert latex_columns(view).startswith("rp{")
    narrow = View("", [{"n": 1, "why": "so"}], view.columns)
    assert latex_columns(narrow) == "rl"


def test_an_option_keeps_its_hyphens():
    assert latex_escaped("--energy, a---b, 1–2") == "-{}-energy, a-{}-{}-b, 1--2"


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("request.html", (), "--attach: needs --trainings"),
        ("request.docx", ("--trainings", "5"), ".html or .tex"),
        ("none/request.html", ("--trainings", "5"), "cannot be written"),
    ],
)
def test_what_cannot_be_written_is_refused(study, tmp_path, name, options, words):
    if name.startswith("none"):
        (tmp_path / "none").touch()
    result = attach(study, tmp_path / name, *options)
    assert result.exit_code == 2
    assert words in result.output
    assert "Traceback" not in result.output
