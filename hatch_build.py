"""What hatchling does before it packs the wheel: the man pages, from the commands themselves, into share/man/man1."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ManPages(BuildHookInterface):  # type: ignore[type-arg]
    """Writes the man pages into build/man, and has the wheel take them along."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Write the pages, of this source, and name them to the builder; an editable installation has none."""
        if version == "editable":
            return
        folder = Path(self.root) / "build" / "man"
        shutil.rmtree(folder, ignore_errors=True)
        command = [sys.executable, "-m", "hpcnn.cli.manual", str(folder)]
        subprocess.run(command, cwd=self.root, check=True, stdout=subprocess.DEVNULL)
        for page in sorted(folder.glob("*.1")):
            build_data["shared_data"][str(page)] = f"share/man/man1/{page.name}"
