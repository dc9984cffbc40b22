"""Checks of .ci/release.py itself: the distributions of this checkout pass them, and faulty ones do not."""

from __future__ import annotations

import importlib.util
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def release() -> ModuleType:
    spec = importlib.util.spec_from_file_location("release", ROOT / ".ci" / "release.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_wheel_is_that_of_the_source_distribution_and_has_all_files(release: ModuleType, tmp_path: Path) -> None:
    pytest.importorskip("build", reason="it needs the extra dev")
    pytest.importorskip("hatchling", reason="it needs the extra dev")
    wheel = release.build("wheel", ROOT, tmp_path / "built")
    sdist = release.build("sdist", ROOT, tmp_path / "built")
    again = release.build("wheel", release.unpacked(sdist, tmp_path), tmp_path / "again")

    files = release.contents(wheel)
    release.check_same("the wheel of the source distribution", files, release.contents(again))
    missing = release.expected(release.tracked(ROOT)) - files.keys()
    assert not missing
    assert "hpcnn/py.typed" in files
    assert files["hpcnn/_share/containers/constraints.txt"] == (ROOT / "constraints.txt").read_bytes()


def test_what_the_wheel_must_have(release: ModuleType) -> None:
    names = ["hpcnn/a.py", "hpcnn/py.typed", "templates/sites/local.toml", "searches/x.toml", "docs/y.md", "Makefile"]
    assert release.expected(names) == {
        "hpcnn/a.py",
        "hpcnn/py.typed",
        "hpcnn/_share/templates/sites/local.toml",
        "hpcnn/_share/searches/x.toml",
        "hpcnn/_share/containers/constraints.txt",
    }


@pytest.mark.parametrize(
    ("found", "fault"),
    [
        ({"a": b"1"}, "  missing: b"),
        ({"a": b"1", "b": b"2", "c": b""}, "  not expected: c"),
        ({"a": b"1", "b": b"3"}, "  different: b"),
    ],
)
def test_a_wheel_with_a_fault_is_named(found: dict[str, bytes], fault: str, release: ModuleType) -> None:
    with pytest.raises(SystemExit, match=f"^the wheel:\n{fault}$"):
        release.check_same("the wheel", {"a": b"1", "b": b"2"}, found)


def test_the_files_of_a_wheel_without_its_metadata(release: ModuleType, tmp_path: Path) -> None:
    wheel = tmp_path / "hpcnn-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("hpcnn/a.py", "1")
        archive.writestr("hpcnn-1.dist-info/RECORD", "")
    assert release.contents(wheel) == {"hpcnn/a.py": b"1", "hpcnn-1.dist-info/RECORD": b""}
    assert release.package_files(release.contents(wheel)) == ["hpcnn/a.py"]
