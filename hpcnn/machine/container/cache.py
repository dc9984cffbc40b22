"""Where built images are kept, under which names. Knows nothing of how they are built."""

from __future__ import annotations

import hashlib
import platform
from pathlib import Path

from hpcnn.machine.container.context import Context
from hpcnn.util.cache_dir import cache_folder


def image_path(context: Context) -> Path:
    """Return where the image with exactly this content is, or will be."""
    return cache_folder() / "images" / f"hpcnn-{context.kind}-{_key(context)}.sif"


def other_images(image: Path) -> list[Path]:
    """Return the cached images of the same kind with other content: those of earlier versions, say."""
    kind = image.name.rsplit("-", 1)[0]
    return sorted(file for file in image.parent.glob(f"{kind}-*.sif") if file != image)


def _key(context: Context) -> str:
    """Return a digest of every file that goes into the image, and of the processor's architecture."""
    digest = hashlib.sha256(platform.machine().encode())
    for name, data in sorted(context.content.items()):
        digest.update(f"\0{name}\0{len(data)}\0".encode() + data)
    return digest.hexdigest()[:12]
