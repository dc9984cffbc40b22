"""The words of ``--image-size``."""

from __future__ import annotations

from hpcnn.util.errors import bad_value


def image_size(text: str | None) -> tuple[int, int] | None:
    """Return (height, width) of ``HxW``, or of one number for both. Raises UsageError for another form."""
    if text is None:
        return None
    parts = str(text).split("x")
    if len(parts) > 2 or not all(part.isdecimal() and int(part) for part in parts):
        raise bad_value("--image-size", text, "HEIGHTxWIDTH in pixels, or one number for both")
    return int(parts[0]), int(parts[-1])
