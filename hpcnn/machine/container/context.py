"""The files that go into an image: a definition, the recipe of Horovod, the pinned versions, and hpcnn as a wheel.

The same from a checkout and from an installed wheel. Knows nothing of Apptainer.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hpcnn.machine.container.wheel import write_wheel
from hpcnn.util.errors import unknown_value
from hpcnn.util.share import constraints_file, share_dir

KINDS = ("cpu", "gpu")


@dataclass(frozen=True)
class Context:
    """What one image is made of: for each file, its path beside the definition and its bytes."""

    kind: str
    content: Mapping[str, bytes]

    @property
    def definition(self) -> str:
        """The file name of the definition."""
        return f"hpcnn-{self.kind}.def"

    def write(self, folder: Path) -> None:
        """Write the files below ``folder``."""
        for name, data in self.content.items():
            file = folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
            file.chmod(0o755 if file.suffix == ".sh" else 0o644)


def context_of(kind: str) -> Context:
    """Return what the image ``kind`` is made of, by this hpcnn. Raises UsageError for a kind that there is not."""
    if kind not in KINDS:
        raise unknown_value("image", kind, KINDS)
    shared = share_dir("containers")
    names = (f"hpcnn-{kind}.def", *(("build-horovod.sh",) if kind == "cpu" else ()))
    content = {name: (shared / name).read_bytes() for name in names}
    content["constraints.txt"] = constraints_file().read_bytes()
    with tempfile.TemporaryDirectory() as folder:
        wheel = write_wheel(Path(folder))
        content[f"wheels/{wheel.name}"] = wheel.read_bytes()
    return Context(kind, content)
