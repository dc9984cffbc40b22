"""The folder of the user's settings is where platformdirs has it on Linux."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs
import pytest

from hpcnn.util.config_dir import config_folder, is_there


@pytest.mark.parametrize("named", [None, "", "  ", "/tmp/settings"])
def test_it_is_the_platforms(named: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HPCNN_CONFIG", raising=False)
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    if named is not None:
        monkeypatch.setenv("XDG_CONFIG_HOME", named)
    assert config_folder() == platformdirs.user_config_path("hpcnn")


def test_a_variable_names_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HPCNN_CONFIG", "mine")
    assert config_folder() == Path("mine")


@pytest.mark.parametrize(("uid", "there"), [(os.getuid(), None), (os.getuid() + 1, False)])
def test_a_closed_home_of_another_user_holds_no_settings_of_this_one(
    uid: int, there: bool | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``su`` and ``sudo`` may keep $HOME; a folder of one's own that is closed is a mistake to be said."""

    def closed(path: Path) -> bool:
        raise PermissionError(13, "Permission denied", str(path))

    assert is_there(tmp_path)
    monkeypatch.setattr(Path, "exists", closed)
    monkeypatch.setattr(os, "getuid", lambda: uid)
    if there is None:
        with pytest.raises(PermissionError):
            is_there(tmp_path / "hpcnn" / "config.toml")
    else:
        assert is_there(tmp_path / "hpcnn" / "config.toml") == there
