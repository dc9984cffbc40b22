"""The cache: what somebody else could have written is refused, and so is what is not what was written."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from hpcnn.util.cache_dir import check_file, check_private, digest_file, make_private, note_digest
from hpcnn.util.errors import HpcnnError
from tests.test_setup import bash_function

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")


@pytest.fixture
def image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HPCNN_CACHE", str(tmp_path / "cache"))
    image = tmp_path / "cache" / "images" / "a.sif"
    before = os.umask(0o002)  # a group of the user's own: usual on many systems
    try:
        make_private(image.parent)
    finally:
        os.umask(before)
    image.write_bytes(b"an image")
    note_digest(image)
    return image


def test_what_is_ones_own_is_trusted(image: Path) -> None:
    check_file(image)
    assert (
        subprocess.run(["sha256sum", "--check", digest_file(image).name], cwd=image.parent, check=False).returncode == 0
    )


@pytest.mark.parametrize("which", ["cache", "cache/images", "cache/images/a.sif", "cache/images/a.sif.sha256"])
@pytest.mark.parametrize("mode", [0o020, 0o002, 0o1002])
def test_what_others_can_write_is_refused(image: Path, tmp_path: Path, which: str, mode: int) -> None:
    place = tmp_path / which
    place.chmod(place.stat().st_mode | mode)
    with pytest.raises(HpcnnError, match=f"^{place}: other users can write it, .*: chmod go-w {place}$"):
        check_file(image)


def test_a_folder_above_in_which_others_can_rename(image: Path, tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    with pytest.raises(HpcnnError, match="other users can write it"):
        check_private(image.parent)
    tmp_path.chmod(0o1777)  # as /tmp is
    check_file(image)


@AS_ROOT
@pytest.mark.parametrize("which", ["cache", "cache/images", "cache/images/a.sif", "cache/images/a.sif.sha256"])
def test_what_another_user_owns_is_refused(image: Path, tmp_path: Path, which: str) -> None:
    os.chown(tmp_path / which, 65534, 65534)
    with pytest.raises(HpcnnError, match="belongs to another user"):
        check_file(image)


def test_what_was_changed_is_refused(image: Path) -> None:
    image.write_bytes(b"an imagE")
    with pytest.raises(HpcnnError, match="is damaged, or was changed since it was built"):
        check_file(image)


def test_an_image_of_an_earlier_version_gets_its_digest(image: Path) -> None:
    digest_file(image).unlink()
    check_file(image)
    image.write_bytes(b"another")
    with pytest.raises(HpcnnError, match="damaged"):
        check_file(image)


class TestWheels:
    """The same of the wheels of containers/build-horovod.sh."""

    @pytest.fixture
    def wheel(self, tmp_path: Path) -> Path:
        folder = tmp_path / "wheels" / "key"
        folder.mkdir(parents=True)
        wheel = folder / "horovod-0.28.1-cp311.whl"
        wheel.write_bytes(b"a wheel")
        subprocess.run(f"sha256sum {wheel.name} >{wheel.name}.sha256", shell=True, cwd=folder, check=True)
        return wheel

    def found(self, wheel: Path) -> subprocess.CompletedProcess[str]:
        folder = wheel.parent
        return bash_function(f'cache={folder.parent}; find_wheel {folder} && echo "$wheel"')

    def test_ones_own(self, wheel: Path) -> None:
        assert self.found(wheel).stdout == f"{wheel}\n"
        wheel.with_name(f"{wheel.name}.sha256").unlink()
        assert self.found(wheel).stdout == f"{wheel}\n"

    @pytest.mark.parametrize("which", ["..", ".", "horovod-0.28.1-cp311.whl", "horovod-0.28.1-cp311.whl.sha256"])
    def test_what_others_can_write(self, wheel: Path, which: str) -> None:
        place = wheel.parent / which
        place.chmod(place.stat().st_mode | 0o020)
        ended = self.found(wheel)
        assert ended.returncode == 1
        assert "other users can write" in ended.stderr

    @AS_ROOT
    @pytest.mark.parametrize("which", ["..", ".", "horovod-0.28.1-cp311.whl"])
    def test_what_another_user_owns(self, wheel: Path, which: str) -> None:
        os.chown(wheel.parent / which, 65534, 65534)
        assert "belongs to another user" in self.found(wheel).stderr

    def test_what_was_changed(self, wheel: Path) -> None:
        wheel.write_bytes(b"a wheeL")
        ended = self.found(wheel)
        assert ended.returncode == 1
        assert f"is damaged, or was changed since it was built: remove the folder {wheel.parent}" in ended.stderr
