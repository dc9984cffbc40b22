"""Damaged archives are found, whoever reads them."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from hpcnn.util.unreadable import UNREADABLE, check_archive


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """An archive of stored bytes, as Keras writes one."""
    file = tmp_path / "network.keras"
    with zipfile.ZipFile(file, "w") as content:
        content.writestr("config.json", "{}")
        content.writestr("model.weights.h5", bytes(range(256)) * 40)
    return file


def test_a_whole_archive_is_fine(archive: Path) -> None:
    check_archive(archive)


@pytest.mark.parametrize("damage", ["flipped", "cut", "empty"])
def test_a_damaged_one_is_refused(archive: Path, damage: str) -> None:
    content = bytearray(archive.read_bytes())
    content[5000] ^= 1
    archive.write_bytes({"flipped": content, "cut": content[:3000], "empty": b""}[damage])
    with pytest.raises(UNREADABLE):
        check_archive(archive)
