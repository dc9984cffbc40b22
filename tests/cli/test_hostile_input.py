"""Values, files and names that nobody means well with, or that an accident made: one message and status 2, at once."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from hpcnn.cli.main import main
from hpcnn.util.files import parse_json
from tests.synthetic.runs import write_run

DIGITS = "9" * 5000
DEEP = "[" * 5000
FILES = ("spec", "provenance", "result", "job")
BIN = Path(sys.executable).parent

Command = Callable[..., "subprocess.CompletedProcess[str]"]


def hpcnn(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def refused(*words: object) -> str:
    started = time.process_time()
    ended = hpcnn(*words)
    assert isinstance(ended.exception, SystemExit), ended.exception
    assert ended.exit_code == 2, ended.output
    assert time.process_time() - started < 20
    return ended.stderr


@pytest.fixture(autouse=True)
def _here(here: Path) -> None:
    """Work in an empty folder."""


class TestToml:
    @pytest.mark.parametrize("value", [DIGITS, "-" + DIGITS, str(2**63), DEEP, "[" * 100 + "]" * 100, "{a=" * 3000])
    def test_a_study(self, value: str) -> None:
        Path("s.toml").write_text(f"repeats = {value}\nprogram = ['true']\n")
        assert "s.toml: is not valid TOML: " in refused("study", "run", "s.toml", "--dry-run")

    @pytest.mark.parametrize("value", [DIGITS, DEEP])
    def test_a_search(self, value: str) -> None:
        Path("s.toml").write_text(f"trials = {value}\n")
        assert "s.toml: is not valid TOML: " in refused("search", "run", "s.toml")

    def test_a_profile(self) -> None:
        Path("../config/sites").mkdir(parents=True)
        Path("../config/sites/mine.toml").write_text(f"cores = {DIGITS}\n")
        assert "mine.toml: is not valid TOML: " in refused("sites", "show", "mine")

    @pytest.mark.parametrize(
        "text",
        [
            "repeats = 1000000000",
            f"[axes]\ncpus_per_task = {list(range(1, 3001))}\nnodes = {list(range(1, 3001))}",
        ],
    )
    def test_too_many_runs_are_refused_before_they_are_made(self, text: str) -> None:
        Path("s.toml").write_text(f"program = ['true']\n{text}\n")
        assert "runs; expected at most 100,000" in refused("study", "run", "s.toml", "--dry-run")


class TestOptions:
    @pytest.mark.parametrize(
        "words",
        [
            ("--epochs", "9" * 400),
            ("--seed", str(2**63)),
            ("--learning-rate", "9" * 400),
            ("--model-arg", f"d_rate={DIGITS}"),
            ("--model-arg", f"d_rate={DEEP}"),
            ("--nodes", DIGITS),
            ("--data", ":"),
            ("--data", "x" * 300 + ".npz"),
            ("--weights", "x" * 300 + ".keras"),
        ],
        ids=lambda words: words[0] + words[1][:8],
    )
    def test_of_a_training(self, words: tuple[str, str], command: Command) -> None:
        ended = command(BIN / "hpcnn", "train", "--run-dir", "run", *words, timeout=60)
        assert ended.returncode == 2, ended.stderr
        assert len(ended.stderr) < 5100
        assert "Traceback" not in ended.stderr

    @pytest.mark.parametrize("name", [":", "a:b:c", "::", "no.such:thing", "x" * 300 + ".npz", "\ud800.npz", "\x00"])
    def test_of_a_data_set(self, name: str) -> None:
        refused("data", "info", name)

    @pytest.mark.parametrize("name", ["x" * 300, "a/" * 3000])
    def test_names_that_no_file_can_have(self, name: str) -> None:
        refused("submit", "--name", name, "--", "true")
        refused("plot", "layers", name)
        refused("scaling-report", name)
        refused("status", name)
        refused("logs", name)


def npz(name: str, **changes: Callable[[bytes], bytes]) -> str:
    x, y = np.zeros((20, 8, 8), np.uint8), np.arange(20) % 2
    with zipfile.ZipFile(name, "w") as archive:
        for key, array in {"x_train": x, "y_train": y, "x_test": x, "y_test": y}.items():
            content = io.BytesIO()
            np.lib.format.write_array(content, array)
            archive.writestr(f"{key}.npy", changes.get(key, bytes)(content.getvalue()))
    return name


class TestArrays:
    def test_one_that_is_whole(self) -> None:
        assert hpcnn("data", "info", npz("x.npz")).exit_code == 0

    def test_one_that_claims_71_tib(self) -> None:
        claimed = lambda data: data.replace(b"(20, 8, 8), }" + b" " * 11, b"(1220000000000, 8, 8), }")  # noqa: E731
        assert "does not fit into the memory" in refused("data", "info", npz("x.npz", x_train=claimed))

    @pytest.mark.parametrize("label", [2**62, 2**63 - 1, 10**6])
    def test_labels_beyond_all_classes(self, label: int) -> None:
        content = io.BytesIO()
        np.lib.format.write_array(content, np.full(20, label))
        said = refused("data", "info", npz("x.npz", y_train=lambda _: content.getvalue()))
        assert f"labels below 1,000,000, found {label}" in said

    @pytest.mark.parametrize("place", range(0, 200, 7))
    def test_flipped_bits(self, place: int) -> None:
        def flipped(data: bytes) -> bytes:
            return data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :]

        ended = hpcnn("data", "info", npz("x.npz", x_train=flipped))
        assert ended.exit_code in (0, 2), ended.exception
        whole = Path(npz("y.npz")).read_bytes()
        Path("y.npz").write_bytes(flipped(whole))
        ended = hpcnn("data", "info", "y.npz")
        assert ended.exit_code in (0, 2), ended.exception


class TestDamagedRuns:
    NAMES = ("spec.json", "provenance.json", "result.json", "job.json", "epochs.rank00000.jsonl")

    @pytest.mark.parametrize(
        "text",
        [
            f'{{"schema": 1, "resources": {{"ntasks": {DIGITS}}}, "epoch": {DIGITS}}}',
            DEEP,
            '{"a":' * 2000,
            "\x00" * 50,
        ],
        ids=["digits", "deep", "tables", "nul"],
    )
    def test_they_do_not_hide_the_others(self, text: str) -> None:
        """Six runs: of one nothing is damaged, of each other one file."""
        for number, name in enumerate(("", *self.NAMES)):
            write_run(Path(f"runs/study/run-{number}"))
            if name:
                Path(f"runs/study/run-{number}", name).write_text(text)
        for words in (("scaling-report", "runs"), ("scaling-report", "runs", "--format", "json"), ("status",)):
            ended = hpcnn(*words)
            assert ended.exit_code == 0, (words, ended.output, ended.exception)

    @pytest.mark.parametrize("number", [2**63, -(2**63), 10**400])
    def test_a_number_beyond_64_bits_is_none_of_ours(self, number: int) -> None:
        with pytest.raises(ValueError, match="an integer of"):
            parse_json(json.dumps({"a": number}))
        assert parse_json(json.dumps([2**63 - 1])) == [2**63 - 1]


def test_lone_surrogates_are_shown(tmp_path: Path) -> None:
    write_run(Path("runs/study/run-1"))
    spec = json.loads(Path("runs/study/run-1/spec.json").read_text())
    spec["study"] = "a\ud800b"
    Path("runs/study/run-1/spec.json").write_text(json.dumps(spec))
    for words in (("scaling-report", "runs"), ("scaling-report", "runs", "--html", "page.html", "--out", "files")):
        ended = hpcnn(*words)
        assert ended.exit_code == 0, (ended.output, ended.exception)
    assert "a\\ud800b" in hpcnn("scaling-report", "runs").output


@pytest.mark.parametrize("words", [("init",), ("submit", "--dry-run", "--run-dir"), ("smoke", "--quiet", "--keep")])
def test_a_lone_surrogate_is_in_no_name(words: tuple[str, ...]) -> None:
    ended = hpcnn(*words, "a\ud800b")
    assert ended.exit_code == 2
    assert ended.output.startswith("Error: 'a\\ud800b': ")


class TestMachines:
    def run(self, *words: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
        own = {**os.environ, **environment}
        return subprocess.run([sys.executable, "-m", "hpcnn", *words], env=own, capture_output=True, check=False)

    @pytest.mark.cold  # a warm process has the streams of its server
    def test_a_locale_that_has_no_dash(self) -> None:
        ended = self.run("models", "list", LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
        assert ended.returncode == 0, ended.stderr
        assert ended.stdout.isascii()
        assert b" -\n" in ended.stdout  # a network without an accuracy

    def test_a_home_that_is_not_there_or_read_only(self) -> None:
        Path("file").touch()
        words = ("--run-dir", "run", "--", "true")
        home = str(Path("file").absolute())
        ended = self.run("submit", *words, HOME=home, XDG_CONFIG_HOME="", HPCNN_CONFIG="")
        assert ended.returncode == 0, ended.stderr

    def test_a_user_without_a_name_and_a_home(self) -> None:
        code = (
            "import os; from hpcnn.util.user import expanded, user_name; os.environ.clear(); os.setuid(54321); "
            "print(user_name(), expanded('~/x'), expanded('~nobody-here/x'))"
        )
        if os.geteuid():
            pytest.skip("only root can become another user")
        ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert ended.stdout == "54321 ~/x ~nobody-here/x\n"

    def test_what_the_system_refuses_is_a_message(self) -> None:
        Path("runs").touch()
        ended = hpcnn("submit", "--", "true")
        assert ended.exit_code == 2
        assert "Error: --run-dir: " in ended.stderr


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["sites", "list"], ["submit", "--dry-run", "--", "true"]])
def test_an_output_that_is_full(words: list[str]) -> None:
    with open("/dev/full", "w") as full:  # noqa: PTH123
        ended = subprocess.run(
            [sys.executable, "-m", "hpcnn", *words], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert (ended.returncode, ended.stderr) == (1, "Error: no space (no space left on device)\n")
