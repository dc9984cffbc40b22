"""The folder of the user's settings is where platformdirs has it on Linux."""

from __future__ import annotations

from pathlib import Path

import platformdirs
import pytest

from hpcnn.util.config_dir import config_folder


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
