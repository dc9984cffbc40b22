"""What the head of a picture file says: its form, size, channels, bits, and how its camera was held.

Only what is needed before pixels are decoded, or to say why they cannot be. Must not import TensorFlow.

Sources: the PNG specification (W3C), section 11.2.1; ITU-T T.81, Annex B, for JPEG; CIPA DC-008 for Exif; the GIF89a
specification.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

# How much of a file holds its head: a JPEG may begin with a thumbnail and a profile of colours.
HEAD_BYTES = 2**16
READ = ("PNG", "JPEG")
# The colour type of a PNG, its byte 25 -> channels, as a picture without a palette has them.
_OF_COLOUR_TYPE = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}
PALETTE = 3
# How a file begins -> what it is. RIFF holds other things, too, and the boxes of HEIF and AVIF have a length first.
_BEGINNINGS = (
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"\xff\xd8", "JPEG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"BM", "BMP"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
    (b"\x00\x00\x00\x0cjP  ", "JPEG 2000"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\x89HDF", "HDF5"),
    (b"SIMPLE  =", "FITS"),
    (b"\x93NUMPY", "NumPy"),
    (b"%PDF", "PDF"),
    (b"PK\x03\x04", "zip"),
    (b"<", "HTML or XML"),
    (b"version https://git-lfs", "Git LFS pointer"),
)


@dataclass(frozen=True)
class Head:
    """What a file is. form: as people call it, "" for what is not known. orientation: of Exif, 1 for upright.

    height, width, channels, bits (of a channel): 0 where the head does not say them, or is cut off.
    """

    form: str
    height: int = 0
    width: int = 0
    channels: int = 0
    bits: int = 0
    orientation: int = 1
    palette: bool = False

    @property
    def is_grey(self) -> bool:
        """Return whether the picture is said to have no colours."""
        return self.channels in (1, 2)


def head_of(content: bytes) -> Head:
    """Return what the first bytes of a file say."""
    form = _form(content)
    try:
        if form == "PNG":
            return _of_png(content)
        if form == "JPEG":
            return _of_jpeg(content)
        if form == "GIF":
            width, height = struct.unpack("<HH", content[6:10])
            return Head(form, height, width, 3, 8)
    except (struct.error, IndexError):
        pass
    return Head(form)


def _form(content: bytes) -> str:
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "WebP"
    if content[4:8] == b"ftyp":
        return "AVIF" if content[8:12].startswith(b"avi") else "HEIF"
    return next((form for begin, form in _BEGINNINGS if content.startswith(begin)), "")


def _of_png(content: bytes) -> Head:
    width, height, bits, kind = struct.unpack(">IIBB", content[16:26])
    return Head("PNG", height, width, _OF_COLOUR_TYPE.get(kind, 3), bits, _exif_of_png(content), kind == PALETTE)


def _exif_of_png(content: bytes) -> int:
    """Return the orientation in a chunk ``eXIf``, if it stands before the pixels."""
    position = 8
    while position + 8 <= len(content):
        length, name = struct.unpack(">I4s", content[position : position + 8])
        if name == b"eXIf":
            return _orientation(content[position + 8 : position + 8 + length])
        if name in (b"IDAT", b"IEND"):
            break
        position += 12 + length
    return 1


def _of_jpeg(content: bytes) -> Head:
    """Go from segment to segment up to the start of a frame, which has the size."""
    position, orientation = 2, 1
    while position + 10 < len(content):
        if content[position] != 0xFF:
            break
        marker = content[position + 1]
        if marker == 0xFF:  # a fill byte
            position += 1
            continue
        length = int.from_bytes(content[position + 2 : position + 4], "big")
        if marker == 0xE1 and content[position + 4 : position + 10] == b"Exif\x00\x00":
            orientation = _orientation(content[position + 10 : position + 2 + length])
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):  # a start of frame
            bits, height, width, channels = struct.unpack(">BHHB", content[position + 4 : position + 10])
            return Head("JPEG", height, width, channels, bits, orientation)
        position += 2 + length
    return Head("JPEG", orientation=orientation)


def _orientation(exif: bytes) -> int:
    """Return the tag 0x0112 of the first directory of a TIFF structure; 1, upright, where there is none."""
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    if order is None or len(exif) < 8:
        return 1
    try:
        (start,) = struct.unpack(f"{order}I", exif[4:8])
        (count,) = struct.unpack(f"{order}H", exif[start : start + 2])
        for number in range(count):
            entry = exif[start + 2 + 12 * number : start + 14 + 12 * number]
            tag, _, _, value = struct.unpack(f"{order}HHIH", entry[:10])
            if tag == 0x0112:
                return value if 1 <= value <= 8 else 1
    except struct.error:
        pass
    return 1
