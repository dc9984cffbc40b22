"""What is read from a folder of runs is files: pipes, devices and what nobody could hold in memory are none."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from hpcnn.util.files import is_own_file, open_regular, read_json, tail


def pipe(file: Path) -> None:
    os.mkfifo(file)


def zeros(file: Path) -> None:
    file.symlink_to("/dev/zero")


def huge(file: Path) -> None:
    file.touch()
    os.truncate(file, 1 << 40)  # takes no room


OTHERS = [pipe, zeros, huge]


@pytest.mark.parametrize("make", [*OTHERS, Path.mkdir])
def test_they_are_read_as_no_record(make: Callable[[Path], None], tmp_path: Path) -> None:
    make(tmp_path / "file")
    assert read_json(tmp_path / "file") is None
    with pytest.raises(OSError, match="file"):
        open_regular(tmp_path / "file")
    assert tail(tmp_path / "file", 10) == b""


def test_own_files(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "file")
    assert [is_own_file(tmp_path / name) for name in ("file", "link", "none", ".")] == [True, False, False, False]
