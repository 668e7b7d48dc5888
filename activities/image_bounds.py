"""Bounds of a photo: how much work and memory it takes is told from its header, before anything is decoded."""

from __future__ import annotations

import math
from itertools import pairwise

from PIL import Image

from jobs.errors import PermanentError

MOST_PIXELS = 60_000_000
MOST_SCANNED_PIXELS = 40 * MOST_PIXELS
"""Pixels times scans of a JPEG, be it in a TIFF. A progressive one has about ten scans, but a few bytes are enough for
one, and each goes over the whole photo: a small file would keep a processor busy for hours."""
AT_ONCE = 2_000_000
"""Pixels of a large photo that are worked on at once, when it has been decoded."""

_WHOLE, _PART = 8, 20
"""Bytes that are taken at most for each pixel that is worked on, the decoded one not counted."""
_RESULT = 40_000_000
"""Bytes that the smaller picture takes, and the steps on the way to it."""
_BYTES = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2, "I;16N": 2}
"""Of a decoded pixel, by Pillow's mode; in the others it takes four."""
_LINE = 8
"""Bytes that are taken for each line, however short."""
_WIDTH, _HEIGHT, _BITS, _ORIENTATION, _CHANNELS, _ROWS = 256, 257, 258, 274, 277, 278
_TILE_WIDTH, _TILE_HEIGHT = 322, 323
_STRIPS, _TILES = (273, 279), (324, 325)
"""Tags of a TIFF. Those of its pieces, strips or tiles, say where each begins, and how long it is."""


class PhotoTooLargeError(PermanentError):
    """The photo has more bytes or pixels than are taken."""


def check(content: bytes, format: str, image: Image.Image) -> None:
    """See that a photo whose header was read goes over no more pixels than are taken. Raises PhotoTooLargeError.

    Whatever else it raises tells of a damaged file.
    """
    _check_pixels(image.size)
    each = math.prod(image.size)
    if format == "TIFF":
        # A picture of ten pixels may have a tile of a billion, which is decoded whole.
        _check_pixels(_padded(image))
        if _pieces_are_apart(image):
            # Each has scans of its own, which go over nothing else.
            each = math.prod(_piece(image))
    if format == "JPEG" or "jpeg" in image.info.get("compression", ""):
        scans = _scans(content)
        if scans * each > MOST_SCANNED_PIXELS:
            raise PhotoTooLargeError(f"the photo goes over its pixels {scans} times: export it anew, with fewer scans")


def memory(content: bytes, image: Image.Image, *, lines: int | None) -> int:
    """Bytes that are taken at most, beside the decoder's: of the file, the decoded photo, and of what is made of it.

    `lines`: so many are worked on at once; None: all.
    """
    pixels = math.prod(image.size)
    # Decoders copy the file, some of them twice.
    decoded = 3 * len(content) + _decoded(image)
    return decoded + (pixels * _WHOLE if lines is None else image.width * lines * _PART) + _RESULT


def decoder(content: bytes, format: str, image: Image.Image) -> int:
    """Bytes that the decoder takes at most for itself, however small it is told to decode the photo."""
    if format == "WEBP":
        # The picture, the one before it in an animation, and what is handed to Pillow.
        return 3 * 4 * math.prod(image.size)
    if format == "TIFF":
        bits = max(image.tag_v2.get(_BITS, (1,))) * image.tag_v2.get(_CHANNELS, 1)
        # Pillow puts it upright, which takes a copy.
        turned = _decoded(image) if image.getexif().get(_ORIENTATION, 1) != 1 else 0
        return math.prod(_piece(image)) * bits // 8 + turned
    if format == "JPEG" and _scans(content) > 1:
        return _coefficients(image)
    return 0


def _decoded(image: Image.Image) -> int:
    return math.prod(image.size) * _BYTES.get(image.mode, 4) + _LINE * image.height


def _coefficients(image: Image.Image) -> int:
    """Bytes that are kept of a JPEG of several scans until the last of them."""
    layers = [(across, down) for _, across, down, _ in image.layer]
    most = max(across for across, _ in layers) * max(down for _, down in layers)
    return 2 * math.prod(image.size) * sum(across * down for across, down in layers) // most


def _scans(content: bytes) -> int:
    # The marker of a scan; within one, every FF is followed by 00.
    return content.count(b"\xff\xda")


def _check_pixels(size: tuple[int, int]) -> None:
    width, height = size
    if width * height > MOST_PIXELS:
        raise PhotoTooLargeError(
            f"the photo has {width} x {height} pixels, and {MOST_PIXELS} at most are taken: upload a smaller one"
        )


def _piece(image: Image.Image) -> tuple[int, int]:
    """The size of a TIFF's strips or tiles."""
    tags = image.tag_v2
    if _TILE_WIDTH in tags:
        return tags[_TILE_WIDTH], tags[_TILE_HEIGHT]
    return tags[_WIDTH], min(tags.get(_ROWS, tags[_HEIGHT]), tags[_HEIGHT])


def _padded(image: Image.Image) -> tuple[int, int]:
    """The size of a TIFF when all its pieces are whole."""
    size = image.tag_v2[_WIDTH], image.tag_v2[_HEIGHT]
    if _TILE_WIDTH not in image.tag_v2:
        return size
    width, height = (math.ceil(whole / part) * part for whole, part in zip(size, _piece(image), strict=True))
    return width, height


def _pieces_are_apart(image: Image.Image) -> bool:
    """Whether no two pieces of a TIFF have any of the file in common. Nobody can tell where lengths are missing."""
    offsets, lengths = (image.tag_v2.get(tag, ()) for tag in (_TILES if _TILE_WIDTH in image.tag_v2 else _STRIPS))
    if not len(offsets) == len(lengths) > 0:
        return False
    ranges = sorted(zip(offsets, lengths, strict=True))
    return all(start + length <= after for (start, length), (after, _) in pairwise(ranges))
