"""Name the container images in the cache by a digest of their content. Must not import the build."""

from __future__ import annotations

import hashlib
import platform
from pathlib import Path

from hpcnn.machine.container.context import Context
from hpcnn.util.cache_dir import cache_folder


def image_path(context: Context) -> Path:
    """Return the path of the image with this content, built or not."""
    return cache_folder() / "images" / f"hpcnn-{context.kind}-{_key(context)}.sif"


def other_images(image: Path) -> list[Path]:
    """Return the cached images of the same kind with other content, such as those of earlier versions."""
    kind = image.name.rsplit("-", 1)[0]
    return sorted(file for file in image.parent.glob(f"{kind}-*.sif") if file != image)


def _key(context: Context) -> str:
    """Return a digest of all files in the image and of the processor's architecture."""
    digest = hashlib.sha256(platform.machine().encode())
    for name, data in sorted(context.content.items()):
        digest.update(f"\0{name}\0{len(data)}\0".encode() + data)
    return digest.hexdigest()[:12]
