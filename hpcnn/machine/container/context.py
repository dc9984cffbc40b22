"""Collect the files of an image: its definition, the build of Horovod, the pinned versions, and hpcnn as a wheel.

They are the same from a checkout and from an installed wheel. Must not run Apptainer.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hpcnn.machine.container.wheel import write_wheel
from hpcnn.util.errors import unknown_value
from hpcnn.util.share import constraints_file, share_dir

KINDS = ("cpu", "gpu", "ngc")


@dataclass(frozen=True)
class Context:
    """The files of one image: path beside the definition -> bytes."""

    kind: str
    content: Mapping[str, bytes]

    @property
    def definition(self) -> str:
        """Return the file name of the definition."""
        return f"hpcnn-{self.kind}.def"

    def write(self, folder: Path) -> None:
        """Write the files below ``folder``."""
        for name, data in self.content.items():
            file = folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
            file.chmod(0o755 if file.suffix == ".sh" else 0o644)


def context_of(kind: str) -> Context:
    """Collect the files of the image ``kind`` for this hpcnn. Raises UsageError for an unknown kind."""
    if kind not in KINDS:
        raise unknown_value("image", kind, KINDS)
    shared = share_dir("containers")
    definition = f"hpcnn-{kind}.def"
    content = {definition: (shared / definition).read_bytes()}
    if b"build-horovod.sh" in content[definition]:
        content["build-horovod.sh"] = (shared / "build-horovod.sh").read_bytes()
    content["constraints.txt"] = constraints_file().read_bytes()
    with tempfile.TemporaryDirectory() as folder:
        wheel = write_wheel(Path(folder))
        content[f"wheels/{wheel.name}"] = wheel.read_bytes()
    return Context(kind, content)
