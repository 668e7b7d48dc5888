"""Pictures: what may be taken for one, how it is read, and how a small one is made of it. Bytes in, bytes out.

Whatever strangers upload is read here, so every bound is checked on the header, before pixels are unpacked, and
whatever Pillow raises is one of three errors. Their texts repeat nothing of what Pillow says, which may quote the
photo's metadata.

The decoders are C code in this process: a flaw in one of them is kept away by its updates alone (requirements.txt).
"""

from __future__ import annotations

import io
import logging
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import Any

from PIL import Image, ImageCms

from activities import image_bounds
from activities.image_bounds import MOST_PIXELS as MOST_PIXELS
from activities.image_bounds import PhotoTooLargeError as PhotoTooLargeError
from jobs.errors import PermanentError

FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "GIF")
MOST_BYTES = 40_000_000
LARGEST = 1280
"""Pixels on the long side of what `prepare` returns, and so of any thumbnail."""

Image.init()  # every plugin, while one thread is here: `accept` needs them, and `open` would import them one by one
# More than malloc keeps for later, so that what a large photo took is given back to the system.
Image.core.set_block_size(64 * 1024 * 1024)
# At Debug it writes each tag of a photo's metadata.
logging.getLogger("PIL").setLevel(logging.INFO)

GAP = 2.0
"""A picture is reduced by a whole number, which is quick, to no less than so many times the size that is wanted."""

_SRGB = ImageCms.createProfile("sRGB")
_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""How a photo with that EXIF orientation is put upright."""
_ENCODINGS: dict[str, dict[str, Any]] = {
    "webp": {"format": "WEBP", "quality": 80, "method": 3},
    "jpeg": {"format": "JPEG", "quality": 82, "progressive": True, "optimize": True},
}
_UNPACKED_TOO_LARGE = ("Decompressed data too large", "Too much memory used in text chunks")
"""What Pillow says of a PNG with compressed text or a profile of more than a megabyte, as a ValueError."""


class NotAPhotoError(PermanentError):
    """The content is none of the formats that are taken."""


class PhotoDamagedError(PermanentError):
    """The content begins like a photo and cannot be read to its end: it is cut off, damaged, or says what is not so."""


@dataclass(frozen=True)
class Facts:
    """What the header of a photo says."""

    format: str
    width: int
    """As it is stored; of a TIFF, as Pillow has it, upright."""
    height: int


@dataclass(frozen=True)
class Prepared:
    """A photo from which thumbnails can be made."""

    image: Image.Image
    """Upright, at most `LARGEST` pixels long, in sRGB, RGB or RGBA, without metadata."""
    size: tuple[int, int]
    """Of the whole photo, upright."""


@dataclass(frozen=True)
class File:
    """A thumbnail in one format."""

    format: str
    width: int
    height: int
    content: bytes


def check_length(length: int) -> None:
    """Refuse what need not even be downloaded. Raises PhotoTooLargeError, NotAPhotoError."""
    if length > MOST_BYTES:
        raise PhotoTooLargeError(
            f"the photo has {length} bytes, and {MOST_BYTES} at most are taken: upload a smaller one"
        )
    if length == 0:
        raise NotAPhotoError("the file is empty: upload it again")


def inspect(content: bytes) -> Facts:
    """What the header says; nothing is decoded. Raises NotAPhotoError, PhotoTooLargeError, PhotoDamagedError."""
    with _opened(content) as (format, image):
        return Facts(format, *image.size)


def memory(content: bytes) -> int:
    """Bytes in memory, at most, while `prepare` works, the content included. Raises what `inspect` raises."""
    with _opened(content) as (format, image):
        decoder = image_bounds.decoder(content, format, image)
        factors = _factors(image.size, _drafted(image))
        lines = None if factors == (1, 1) else _lines(image, factors)
        return decoder + image_bounds.memory(content, image, lines=lines)


def prepare(content: bytes) -> Prepared:
    """Decode a photo, once for all of its thumbnails; of an animation, the first picture.

    Raises NotAPhotoError, PhotoTooLargeError, PhotoDamagedError.
    """
    with _opened(content) as (format, image):
        size = image.size
        wanted = _drafted(image)
        # In one piece: between two pieces a thread waits for its turn among all the others.
        image.decodermaxblock = max(len(content), image.decodermaxblock)
        image.load()
        if format == "TIFF":
            # Pillow has put it upright, and may have learned only now that it lies on its side.
            size, wanted = image.size, _fitting(image.size, LARGEST)
        orientation, profile = _orientation(image), image.info.get("icc_profile")
        reduced = _reduced(image, wanted)
        upright = _in_srgb(reduced, profile)
        if orientation in _TURNS:
            upright = upright.transpose(_TURNS[orientation])
            size = size if orientation < 5 else size[::-1]
        # What came from a file keeps hold of it, and of its metadata.
        upright = upright.copy() if upright is image else upright
        upright.info = {}
        return Prepared(upright, size)


def thumbnail(photo: Prepared, side: int) -> list[File]:
    """The photo with at most `side` pixels on its long side, in every format. A small one is not enlarged."""
    small = _resized(photo.image, _fitting(photo.size, side))
    return [_encoded(small, format) for format in _ENCODINGS]


@contextmanager
def _opened(content: bytes) -> Iterator[tuple[str, Image.Image]]:
    check_length(len(content))
    head = content[:32]
    format = next((name for name in FORMATS if Image.OPEN[name][1](head)), None)
    if format is None:
        raise NotAPhotoError(f"the file is none of {', '.join(FORMATS)}, whatever its name says: upload one of these")
    try:
        with Image.open(io.BytesIO(content), formats=[format]) as image:
            image_bounds.check(content, format, image)
            yield format, image
    except PermanentError:
        raise
    except Image.DecompressionBombError:
        raise PhotoTooLargeError(f"the {format} has many times the {MOST_PIXELS} pixels that are taken") from None
    except MemoryError:
        raise PhotoTooLargeError(f"there was not enough memory to decode the {format}: upload a smaller one") from None
    except Exception as error:
        # The plugins raise whatever their code runs into: EOFError, struct.error, OverflowError, KeyError…
        if str(error).startswith(_UNPACKED_TOO_LARGE):
            raise PhotoTooLargeError(f"the {format} unpacks to more metadata than is taken: export it anew") from None
        raise PhotoDamagedError(f"the {format} is cut off or damaged: upload it again, or export it anew") from None


def _drafted(image: Image.Image) -> tuple[int, int]:
    """Prepare a JPEG to be decoded at a half, a quarter or an eighth of its size, which spares most of the work.

    Returns the size that is wanted of it.
    """
    wanted = _fitting(image.size, LARGEST)
    image.draft(None, wanted)
    return wanted


def _orientation(image: Image.Image) -> int:
    """1 when there is none, or none that can be read: the photo is good without it."""
    try:
        return image.getexif().get(_ORIENTATION, 1)
    except Exception:
        return 1


def _reduced(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """The picture in that size, in a mode of eight bits a channel.

    A large one is reduced some lines at a time, as a copy of it all would take as much memory once more.
    """
    plain = _conversion(image)
    across, down = factors = _factors(image.size, size)
    if factors == (1, 1):
        return _resized(plain(image), size)
    lines = _lines(image, factors)
    parts = (
        plain(image.crop((0, top, image.width, min(top + lines, image.height)))).reduce(factors)
        for top in range(0, image.height, lines)
    )
    first = next(parts)
    reduced = Image.new(first.mode, (first.width, math.ceil(image.height / down)))
    for number, part in enumerate(chain([first], parts)):
        reduced.paste(part, (0, number * lines // down))
    return reduced.resize(size, Image.Resampling.LANCZOS, (0, 0, image.width / across, image.height / down))


def _factors(size: tuple[int, int], wanted: tuple[int, int]) -> tuple[int, int]:
    """By how much to reduce the picture, so that twice the size is left that is wanted."""
    across, down = (max(1, int(whole / part / GAP)) for whole, part in zip(size, wanted, strict=True))
    return across, down


def _lines(image: Image.Image, factors: tuple[int, int]) -> int:
    """How many lines to reduce at a time: a few million pixels, and none that is reduced together with the next."""
    return factors[1] * max(1, image_bounds.AT_ONCE // (image.width * factors[1]))


def _conversion(image: Image.Image) -> Callable[[Image.Image], Image.Image]:
    """What makes any part of the picture one that can be made smaller: no palette, no bits, eight bits a channel."""
    if image.mode.startswith("I;16"):
        return lambda part: part.point(lambda value: value * (1 / 256)).convert("L")
    if image.mode in ("I", "F"):
        darkest, brightest = image.getextrema()
        scale = 255 / ((brightest - darkest) or 1)
        return lambda part: part.point(lambda value: value * scale - darkest * scale).convert("L")
    wanted = "RGBA" if image.has_transparency_data else {"1": "L", "L": "L", "CMYK": "CMYK"}.get(image.mode, "RGB")
    return lambda part: part if part.mode == wanted else part.convert(wanted)


def _in_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    has_alpha = image.mode == "RGBA" and image.getextrema()[3][0] < 255
    mode = "RGBA" if has_alpha else "RGB"
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            output = "RGBA" if image.mode == "RGBA" else "RGB"
            image = ImageCms.profileToProfile(image, source, _SRGB, outputMode=output)
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
            # A profile that is damaged, or of another kind of picture: without it the colours are nearly right.
            pass
    return image if image.mode == mode else image.convert(mode)


def _resized(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    return image if size == image.size else image.resize(size, Image.Resampling.LANCZOS, reducing_gap=GAP)


def _fitting(size: tuple[int, int], side: int) -> tuple[int, int]:
    longest = max(size)
    if longest <= side:
        return size
    width, height = (max(1, round(length * side / longest)) for length in size)
    return width, height


def _encoded(image: Image.Image, format: str) -> File:
    if format == "jpeg" and image.mode == "RGBA":
        white = Image.new("RGB", image.size, "white")
        white.paste(image, mask=image.getchannel("A"))
        image = white
    buffer = io.BytesIO()
    image.save(buffer, **_ENCODINGS[format])
    return File(format, *image.size, buffer.getvalue())
