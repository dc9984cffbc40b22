"""What goes into an image: hpcnn's wheel, what a definition copies, and the building machine's settings of pip."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from hpcnn import __version__
from hpcnn.machine.container.cache import image_path
from hpcnn.machine.container.context import KINDS, Context, context_of
from hpcnn.machine.container.machine import needs_fakeroot, pip_files, pip_settings
from hpcnn.machine.container.wheel import write_wheel
from hpcnn.util.share import share_dir

# --- what goes into an image


def test_the_wheel_installs_and_packs_itself_again(tmp_path: Path) -> None:
    """From a checkout and from an installation the same bytes, so the same image."""
    first, second, target = (tmp_path / name for name in ("first", "second", "target"))
    for folder in (first, second):
        folder.mkdir()
    wheel = write_wheel(first)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", target, wheel]
    subprocess.run(pip, check=True, capture_output=True)
    code = (
        "import sys; from pathlib import Path; import hpcnn; from hpcnn.machine.container.wheel import write_wheel; "
        "print(hpcnn.__file__); write_wheel(Path(sys.argv[1]))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, second],
        env={**os.environ, "PYTHONPATH": str(target)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.startswith(str(target))
    assert (second / wheel.name).read_bytes() == wheel.read_bytes()


def test_the_image_is_another_as_soon_as_anything_in_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HPCNN_CACHE", str(tmp_path))
    context = context_of("cpu")
    assert image_path(context) == image_path(context_of("cpu"))
    assert image_path(context).parent == tmp_path / "images"
    names = {"hpcnn-cpu.def", "build-horovod.sh", "constraints.txt", f"wheels/hpcnn-{__version__}-py3-none-any.whl"}
    assert set(context.content) == names
    changed = [Context("cpu", {**context.content, name: context.content[name] + b"#"}) for name in names]
    others = [context_of(kind) for kind in KINDS if kind != "cpu"]
    assert len(set(map(image_path, [context, *changed, *others]))) == 1 + len(changed) + len(others)


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_definition_copies_is_beside_it(kind: str, tmp_path: Path) -> None:
    context = context_of(kind)
    context.write(tmp_path)
    text = (tmp_path / context.definition).read_text()
    files = re.search(r"^%files\n((?:    .+\n)+)", text, re.MULTILINE)
    assert files
    sources = {line.split()[0] for line in files[1].splitlines()}
    assert sources == {path.name for path in tmp_path.iterdir() if path.suffix != ".def"} | {"pip"}


@pytest.mark.parametrize("kind", KINDS)
def test_a_definition_names_no_place_that_packages_come_from(kind: str) -> None:
    text = (share_dir("containers") / f"hpcnn-{kind}.def").read_text()
    hosts = set(re.findall(r"\b(?:[a-z0-9-]+\.)+(?:com|org|io|net|edu)\b", text)) - {"nvcr.io"}
    assert "://" not in text
    assert hosts <= {"org.opencontainers"}
    assert {"%environment", "%help", "%labels", "%runscript", "%test"} <= set(text.split())


# --- what the building machine brings along


def test_pip_in_the_image_is_set_up_as_pip_here_without_this_machines_folders(tmp_path: Path) -> None:
    certificate = tmp_path / "ca.pem"
    certificate.write_text("a certificate")
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith("PIP_")},
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_INDEX_URL": "https://me:secret@index.example/simple",
        "PIP_EXTRA_INDEX_URL": "file:///opt/index https://more.example/simple",
        "PIP_FIND_LINKS": "/opt/wheels",
        "PIP_CERT": str(certificate),
    }
    files = pip_files(environment)
    assert files["pip.conf"].decode().splitlines() == [
        "[global]",
        "disable-pip-version-check = true",
        "index-url = https://me:secret@index.example/simple",
        "extra-index-url = https://more.example/simple",
        "cert = /opt/hpcnn/pip/cert.pem",
    ]
    assert files["cert.pem"] == b"a certificate"


def test_a_variable_wins_over_pips_files() -> None:
    listed = (
        ":env:.timeout='180'\nglobal.timeout='15'\nglobal.find-links='/opt/wheels'\ninstall.proxy='http://p.example'\n"
    )
    assert pip_settings(listed) == {"timeout": "180", "proxy": "http://p.example"}


@pytest.mark.parametrize(("effective", "fakeroot"), [("000001ffffffffff", False), ("000001fffeffffff", True)])
def test_a_root_without_all_capabilities_plays_root(
    effective: str, fakeroot: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "self").mkdir()
    (tmp_path / "self" / "status").write_text(f"Name:\tpython\nCapEff:\t{effective}\nCapBnd:\t000001ffffffffff\n")
    (tmp_path / "sys" / "kernel").mkdir(parents=True)
    (tmp_path / "sys" / "kernel" / "cap_last_cap").write_text("40\n")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert needs_fakeroot(tmp_path) is fakeroot
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert needs_fakeroot(tmp_path)
