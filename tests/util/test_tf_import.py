"""What is set before TensorFlow is imported, which it reads then: nothing here imports it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from hpcnn.util import host, tf_import


@pytest.fixture
def imported(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the names of what is imported by ``import_tensorflow`` from now on, as if nothing had been."""
    names: list[str] = []
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    monkeypatch.setattr(tf_import.importlib, "import_module", names.append)
    monkeypatch.setattr(tf_import.gc, "freeze", lambda: None)
    monkeypatch.setenv(tf_import.ONEDNN, "")  # so that what is set here goes again
    monkeypatch.delenv(tf_import.ONEDNN)
    return names


@pytest.mark.parametrize(("avx2", "value"), [(True, "1"), (False, None)])
def test_onednn_is_turned_on_where_there_is_avx2(
    imported: list[str], monkeypatch: pytest.MonkeyPatch, avx2: bool, value: str | None
) -> None:
    monkeypatch.setattr(tf_import, "processor_has", lambda name: avx2)
    tf_import.import_tensorflow()
    assert imported == ["tensorflow"]
    assert os.environ.get(tf_import.ONEDNN) == value


def test_what_the_user_set_counts(imported: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tf_import, "processor_has", lambda name: True)
    monkeypatch.setenv(tf_import.ONEDNN, "0")
    tf_import.import_tensorflow()
    assert os.environ[tf_import.ONEDNN] == "0"


def test_avx2_is_a_flag_of_the_processor() -> None:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    assert host.processor_has("avx2") == any(line.startswith("flags") and " avx2 " in f"{line} " for line in lines)
