"""Tables in a real terminal of 80 columns: every line fits, no number is broken, nothing that was asked for is lost."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from hpcnn.util.table import Column, emit
from tests.cli.test_main import TREE
from tests.synthetic.runs import write_run
from tests.terminal.screen import COLUMNS, HPCNN, Seen, see

Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the runs of two studies: of six repeats, that differ in what is long."""
    folder = tmp_path_factory.mktemp("terminal")
    for study, change in (("before", 1.0), ("after", 0.9)):
        for ranks in (1, 2, 4):
            for repeat in range(6):
                write_run(
                    folder / study / f"ntasks={ranks}-r{repeat + 1:02d}-abcdef",
                    study="strong",
                    ranks=ranks,
                    samples=60000,
                    seconds=[change * (1234.5 + repeat) / ranks] * 3,
                    repeat=repeat,
                    cpu_model="Intel(R) Xeon(R) Platinum 8481C CPU @ 2.70GHz",
                )
    return folder


TABLES = {
    "scaling-report before": ("speed-up", "efficiency", "interval", "accuracy", "base case: 1 rank"),
    "scaling-report before --wide": ("communication", "node-h/epoch", "coverage"),
    "scaling-report before --table all": ("time to accuracy", "s to target", "core-h/epoch"),
    "compare before after": ("s/epoch A", "change", "B - A, s"),
    "predict before --ranks 1..64 --network infiniband-hdr": ("s/epoch", "efficiency", "Assumed:"),
    "predict --published": ("published", "predicted"),
    "models": ("scinet-dense-sigmoid-2017", "1,199,882"),
    "models --wide": ("Optimizer", "SciNet"),
    "models show psc-toy-3-3-2": ("parameters",),
    "sites list": ("generic-slurm", "description"),
    "sites list --wide": ("launcher", "gpu request"),
    "sites show narval": ("source", "Narval"),
    "data list": ("california_housing", "60,000"),
    "study status before --each": ("completed",),
    "study status before": ("completed",),
    "study run smoke --dry-run": ("missing",),
    "status before": ("run directory", "completed", "what differs", "ntasks 4"),
    "runs before after": ("In all 36 runs: ", "ntasks"),
    "top before --once": ("18 runs: 18 completed", "images/s"),
}


@pytest.mark.parametrize("words", TABLES)
def test_a_table_fits_the_terminal(words: str, folder: Path) -> None:
    seen = see(*words.split(), folder=folder)
    assert seen.status == 0, seen.text
    assert not seen.wrapped
    for text in TABLES[words]:
        assert text in re.sub(r"\s+", " ", seen.text), seen.text


def test_the_doctors_table_fits_too(tmp_path: Path) -> None:
    """Of libraries that cannot be loaded, so that there is much to do."""
    for name in ("tensorflow", "keras", "horovod", "mpi4py"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise ImportError('libcudart.so.12: cannot open shared object')")
    seen = see("doctor", folder=tmp_path, variables={"PYTHONPATH": str(tmp_path)})
    assert not seen.wrapped
    assert "What to do" in seen.text


SEARCH = """
[search]
method = "random"
trials = 12
[train]
model = "psc-hparams"
data = "digits"
[space]
learning_rate = {low = 0.0001, high = 0.1, log = true}
model.d_rate = [0.2, 0.3, 0.4]
optimizer = ["adam", "sgd", "adadelta"]
batch_size = {low = 16, high = 64, step = 16}
momentum = [0.0, 0.9]
"""


@pytest.mark.parametrize("wide", [False, True])
def test_the_trials_of_a_search_fit_too(wide: bool, tmp_path: Path) -> None:
    optuna = pytest.importorskip("optuna", reason="searches need Optuna: pip install '.[search]'")
    from hpcnn.search.read import read
    from hpcnn.search.storage import begin

    (tmp_path / "rates.toml").write_text(SEARCH)
    search = read(tmp_path / "rates.toml")
    study = begin(search, tmp_path / "runs" / "rates")
    point = dict(zip(search.space, (0.00012345678, 0.3, "adadelta", 48, 0.9), strict=True))
    kinds = {key: optuna.distributions.CategoricalDistribution([value]) for key, value in point.items()}
    facts = {"accuracy": 0.9611, "best_accuracy": 0.9722, "loss": 0.1234, "epochs": 15, "seconds": 1234.5}
    for value in (0.9611, 0.95):
        study.add_trial(optuna.trial.create_trial(value=value, params=point, distributions=kinds, user_attrs=facts))
    seen = see("search", "table", "runs/rates", *(["--wide"] if wide else []), folder=tmp_path)
    assert seen.status == 0, seen.text
    assert not seen.wrapped
    for text in ("0.0001235", "adadelta", "0.9611", "completed", "train the best again: hpcnn train"):
        assert text in re.sub(r"\s+", " ", seen.text), seen.text


def test_an_error_is_folded_at_spaces(folder: Path) -> None:
    seen = see("models", "show", "psc-cn", folder=folder)
    assert seen.status == 2
    assert not seen.wrapped
    assert seen.lines[0].startswith("Error: --model: 'psc-cn' is not known. Did you mean ")
    assert len(seen.lines) > 1
    assert b"\x1b[31m" in seen.raw


def test_an_error_of_click_is_folded_too(folder: Path) -> None:
    seen = see("scaling-report", "runs", "--carbon-g-per-kwh", "a lot", folder=folder)
    assert seen.status == 2
    assert not seen.wrapped
    text = re.sub(r"\s+", " ", seen.text)
    assert "--help' for help. Error: Invalid value for '--carbon-g-per-kwh': 'a lot' is not a valid float" in text


@pytest.mark.parametrize(
    "words", [words for words in TREE if words[:1] != ("record",)], ids=lambda words: " ".join(words) or "hpcnn"
)
def test_help_fits_the_terminal_and_is_not_cut_off(words: tuple[str, ...]) -> None:
    with click.Context(TREE[words], info_name=" ".join(("hpcnn", *words)), terminal_width=COLUMNS) as context:
        text, _, _ = TREE[words].get_help(context).partition("Example")  # whose lines are to be copied whole
    lines = text.split("\n")
    assert max(map(len, lines)) <= COLUMNS
    assert not [line for line in lines if re.fullmatch(r"  \w\S*  .*[^,]\.\.\.", line)]


def test_below_a_table_rows_with_nothing_to_show_are_left_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    rows = [{"name": "first", "is": "long" * 5, "do": ""}, {"name": "second", "is": "long" * 5, "do": "act" * 5}]
    spare = Column("name", "spare", spare=True)
    emit(rows, "table", [Column("name", "name"), Column("is", "is", right=True), Column("do", "do", right=True), spare])
    above, _, below = capsys.readouterr().out.strip().partition("\n\n")
    assert ("first" in above, "second" in above) == (True, True)
    assert ("first" in below, "second" in below) == (False, True)
    assert "spare" not in above + below


def test_sizes_with_the_same_ranks_are_told_apart(tmp_path: Path) -> None:
    for nodes in (1, 2):
        write_run(tmp_path / "runs" / str(nodes), ranks=4, resources={"nodes": nodes, "ntasks": 4})
    assert re.search(r"^ranks +nodes +runs", see("scaling-report", "runs", folder=tmp_path).text, re.MULTILINE)


def test_a_log_is_folded_on_a_terminal_and_not_in_a_file(tmp_path: Path, command: Command) -> None:
    line = "epoch 1/4  15.16 s  " + "loss 0.5541  accuracy 0.8335  " * 4 + "end"
    write_run(tmp_path / "run").log.write_text(f"{line}\nshort")
    seen = see("logs", "run", folder=tmp_path)
    assert not seen.wrapped
    assert " ".join(seen.text.split()) == " ".join(f"{line} short".split())
    assert command(HPCNN, "logs", "run", cwd=tmp_path).stdout == f"{line}\nshort"


def test_no_number_of_a_report_is_broken(folder: Path) -> None:
    """Every number of the table in a file, which is as wide as it likes, is in the one of the terminal."""
    seen = see("scaling-report", "before", "--wide", folder=folder)
    wide = see("scaling-report", "before", "--wide", folder=folder, columns=400)
    numbers = {word for line in _rows(wide) for word in re.findall(r"[\d,.]+%?", line)}
    assert len(numbers) > 20
    assert numbers <= set(re.findall(r"[\d,.]+%?", seen.text))


def _rows(seen: Seen) -> list[str]:
    start = next(number for number, line in enumerate(seen.lines) if line.startswith("──"))
    return seen.lines[start + 1 : start + 4]


def test_the_terminal_says_that_there_are_more_columns(folder: Path) -> None:
    assert "--wide shows " in see("models", folder=folder).text
    assert "--wide shows " not in see("models", "--wide", folder=folder).text
