"""Man pages: one for each command, of the words of its help, that man can read."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from hpcnn.cli.manual import write_pages
from tests.cli.test_main import TREE


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("man")
    write_pages(folder)
    return folder


def test_every_command_has_a_page(pages: Path) -> None:
    commands = {"-".join(("hpcnn", *words)) for words in TREE if words[:1] != ("record",) and not TREE[words].hidden}
    assert {file.stem for file in pages.iterdir()} == commands


def test_a_page_has_the_groups_and_options_of_the_help(pages: Path) -> None:
    page = (pages / "hpcnn-submit.1").read_text()
    for text in ('.SH "RESOURCES"', '.SH "TRAINING"', ".B \\-\\-gpus\\-per\\-node N", ".SH EXAMPLES"):
        assert text in page


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not on this machine")
def test_no_page_has_a_fault(pages: Path) -> None:
    done = subprocess.run(
        ["groff", "-man", "-Tutf8", "-ww", "-Wbreak", "-z", *sorted(map(str, pages.iterdir()))],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
