"""The forms of data that are read a slice at a time: ``FORM:FILES[::TEST FILES][#NAMES]``. Facts alone, no readers."""

from __future__ import annotations

import glob
import os
from dataclasses import dataclass
from pathlib import Path

from hpcnn.util.errors import UsageError, bad_value, unknown_value
from hpcnn.util.user import expanded

# Form -> how it is written: those of user_code.DATA_FORMS, whose names are no functions of a user's.
FORMS = {
    "npy": "npy:DIR or npy:X.npy,Y.npy[,WEIGHTS.npy]",
    "h5": "h5:FILES[#x,y[,weights]]",
    "images": "images:DIR",
    "zarr": "zarr:DIR[#x,y[,weights]]",
    "tfrecord": "tfrecord:FILES[#x,y]",
    "parquet": "parquet:FILES[#x,y]",
}
# The folders of training and test pictures; the files of a folder, by the end of their names.
PARTS = ("train", "test")
SUFFIXES = {"parquet": ".parquet", "tfrecord": ".tfrecord*"}
INDEX_SUFFIX = ".index.npy"
# How many names these forms may have after #: the third is that of weights.
_NAMES = {"h5": (2, 3), "zarr": (2, 3)}
# Options of --data-arg, with their defaults: None where the data says it.
OPTIONS: dict[str, object] = {"test_share": 0.2, "split_seed": 1, "classes": None, "channels": None}


@dataclass(frozen=True)
class Location:
    """Where data of one form is. training, test: paths or patterns; names: of features, labels and weights."""

    form: str
    training: tuple[str, ...]
    test: tuple[str, ...]
    names: tuple[str, ...] | None

    def files(self, paths: tuple[str, ...]) -> list[Path]:
        """Return the files (or folders) of paths and patterns, each pattern's in the order of their names.

        Raises UsageError for a path that is not there, and for a pattern that matches nothing.
        """
        found: list[Path] = []
        for path in paths:
            pattern = str(expanded(path))
            literal = os.path.lexists(pattern) or not glob.has_magic(pattern)  # a folder may be called data[1]
            matches = [pattern] if literal else sorted(glob.glob(pattern))  # noqa: PTH207
            if not matches or not all(map(os.path.lexists, matches)):
                raise bad_value("--data", path, f"a path or a pattern of files for {FORMS[self.form]}; there is none")
            found += map(Path, matches)
        for file in found:
            _check_converted(file)
        return found

    def parts(self, suffix: str) -> tuple[list[Path], list[Path]]:
        """Return the files for training and for test; of a folder, those that begin with ``train`` and ``test``."""
        found = self.files(self.training)
        if len(found) == 1 and found[0].is_dir() and not self.test:
            folder = found[0]
            if list(folder.glob(f"train*{suffix}")):
                return sorted(folder.glob(f"train*{suffix}")), sorted(folder.glob(f"test*{suffix}"))
            return self.files((f"{glob.escape(str(folder))}/*{suffix}",)), []
        return found, self.files(self.test)

    def originals(self) -> list[tuple[Path, int]]:
        """Return the files and folders that are read, each with the depth of folders in it that belong to it.

        The depth is 0 for a file and -1 for all of a folder. Raises UsageError for what is not there.
        """
        if self.form == "images":
            folders, test = self.files(self.training), self.files(self.test)
            if not test and all((folders[0] / part).is_dir() for part in PARTS):
                folders, test = [folders[0] / part for part in PARTS], []
            return [(folder, 1) for folder in (*folders, *test)]
        if self.form == "zarr":
            return [(folder, -1) for folder in (*self.files(self.training), *self.files(self.test))]
        if self.form in SUFFIXES:
            training, test = self.parts(SUFFIXES[self.form])
            return [(file, 0) for file in (*training, *test) if not file.name.endswith(INDEX_SUFFIX)]
        found = [*self.files(self.training), *self.files(self.test)]
        if self.form == "npy" and len(found) == 1 and found[0].is_dir():
            named = [found[0] / f"{key}_{part}.npy" for part in PARTS for key in ("x", "y", "weights")]
            return [(file, 0) for file in named if file.exists()]
        return [(file, 0) for file in found]


def conversion_log(path: Path) -> Path:
    """Return the file that stands beside the result of ``hpcnn data convert`` until all of it is there."""
    return path.with_name(f"{path.name}.convert.json")


def _check_converted(file: Path) -> None:
    """Raise UsageError for a file of which a conversion has not written all: what is missing are zeros, or samples."""
    for place in (file, file.parent):
        if place.name and conversion_log(place).exists():
            raise UsageError(
                f"--data: {str(place)!r} is not whole: `hpcnn data convert` is at work on it, or was cut off; the same "
                f"command again goes on with it ({conversion_log(place).name} stands there until its end)"
            )


def form_of(name: str) -> str | None:
    """Return the form of data of this name, None for a known set, an .npz file or a user's function."""
    form = name.partition(":")[0]
    return form if ":" in name and form in FORMS else None


def location_of(name: str) -> Location:
    """Return the parts of a name. Raises UsageError, with the grammar, for a name without files."""
    form, _, rest = name.partition(":")
    if form not in FORMS:
        raise unknown_value("--data", form, FORMS)
    places, _, names = rest.partition("#")
    training, _, test = places.partition("::")
    chosen = tuple(part for part in names.split(",") if part)
    parts = [tuple(part for part in place.split(",") if part) for place in (training, test)]
    if not parts[0] or (chosen and len(chosen) not in _NAMES.get(form, (2,))):
        raise bad_value("--data", name, f"{FORMS[form]}, and after :: the files of the test set if they are others")
    return Location(form, parts[0], parts[1], chosen or None)


def check_there(name: str) -> None:
    """Raise UsageError where a file of the data is missing."""
    location = location_of(name)
    for paths in (location.training, location.test):
        location.files(paths)


def check_options(given: dict[str, object]) -> None:
    """Raise UsageError for an option that these forms do not have."""
    for key in given:
        if key not in OPTIONS:
            raise unknown_value("--data-arg", key, OPTIONS)
    share = given.get("test_share", 0.2)
    if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 < share <= 0.5:
        raise UsageError(f"--data-arg test_share: {share!r} is not valid; expected a share above 0, at most 0.5.")
    if given.get("channels", 1) not in (1, 3):
        raise UsageError(f"--data-arg channels: {given['channels']!r} is not valid; expected 1 (grey) or 3 (colours).")
    for key, least in (("split_seed", 0), ("classes", 1)):
        value = given.get(key, least)
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise UsageError(f"--data-arg {key}: {value!r} is not valid; expected a whole number from {least} on.")
