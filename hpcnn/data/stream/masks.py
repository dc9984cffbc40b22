"""Decode the masks of pictures: PNGs whose grey values are the classes of pixels."""

from __future__ import annotations

from typing import Any

from hpcnn.data.stream.heads import Head

_SIGNATURE = b"\x89PNG"
# The colour types of grey PNGs, without and with transparency; 16 bits of a channel.
_GREY, _SIXTEEN = (b"\x00", b"\x04"), b"\x10"


def why_no_mask(head: Head) -> str | None:
    """Return why a file holds no classes; None for one that may."""
    if head.form != "PNG":
        found = f"of the form {head.form}" if head.form else "no picture"
        return f"is {found}; classes are read from PNGs alone, which keep each pixel exactly"
    if head.palette:
        return "is a PNG with a palette, whose colours are no classes; write the classes as a grey PNG"
    if head.bits == 16:
        return "is a PNG of 16 bits; write the classes, 0 to 255, as a grey PNG of 8 bits"
    return None


def decoded_mask(content: Any) -> Any:
    """*graph*: return the classes of a grey PNG, uint8 (height, width, 1). Fails for any other file."""
    import tensorflow as tf

    kind, bits = (tf.strings.substr(content, place, 1) for place in (25, 24))
    good = (tf.strings.substr(content, 0, 4) == _SIGNATURE) & tf.reduce_any(kind == list(_GREY)) & (bits != _SIXTEEN)
    tf.debugging.Assert(good, ["no grey PNG of up to 8 bits"])
    return _unscaled(tf.io.decode_png(content, channels=1), content)


def mask_of(content: bytes) -> Any | None:
    """Return the classes of a PNG for which ``why_no_mask`` has no reason; None for one that is in colour."""
    import tensorflow as tf

    pixels = tf.io.decode_png(content, channels=3)
    grey = pixels[..., :1]
    return _unscaled(grey, content) if bool(tf.reduce_all(pixels == grey)) else None


def _unscaled(pixels: Any, content: Any) -> Any:
    """Return the values as they stand in the file: those of 1, 2 or 4 bits are decoded as shares of 255."""
    import tensorflow as tf

    bits = tf.cast(tf.io.decode_raw(tf.strings.substr(content, 24, 1), tf.uint8)[0], tf.int32)
    return pixels // tf.cast(255 // (tf.bitwise.left_shift(1, bits) - 1), tf.uint8)
