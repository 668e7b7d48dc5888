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
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from PIL import Image, ImageCms

from jobs.errors import PermanentError

FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "GIF")
MOST_BYTES = 40_000_000
MOST_PIXELS = 60_000_000
"""Such a photo takes 30 to 700 MB while it is decoded, by its format: a JPEG the least, a see-through PNG the most."""
MOST_SCANNED_PIXELS = 40 * MOST_PIXELS
"""Pixels times scans of a JPEG, be it in a TIFF. A progressive one has about ten scans, but a few bytes are enough for
one, and each goes over the whole photo: a small file would keep a processor busy for hours."""
LARGEST = 1280
"""Pixels on the long side of what `prepare` returns, and so of any thumbnail."""

Image.init()  # every plugin, while one thread is here: `accept` needs them, and `open` would import them one by one
# At Debug it writes each tag of a photo's metadata.
logging.getLogger("PIL").setLevel(logging.INFO)

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


class PhotoTooLargeError(PermanentError):
    """The photo has more bytes or pixels than are taken."""


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


def prepare(content: bytes) -> Prepared:
    """Decode a photo, once for all of its thumbnails; of an animation, the first picture.

    Raises NotAPhotoError, PhotoTooLargeError, PhotoDamagedError.
    """
    with _opened(content) as (_, image):
        size = image.size
        # A JPEG can be decoded at a half, a quarter or an eighth of its size, which spares most of the work.
        image.draft(None, _fitting(size, LARGEST))
        # In one piece: between two pieces a thread waits for its turn among all the others.
        image.decodermaxblock = max(len(content), image.decodermaxblock)
        image.load()
        orientation, profile = _orientation(image), image.info.get("icc_profile")
        reduced = _resized(_plain(image), _fitting(size, LARGEST))
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
            _check_pixels(image.size)
            if format == "JPEG" or "jpeg" in image.info.get("compression", ""):
                _check_scans(content, image.size)
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


def _check_pixels(size: tuple[int, int]) -> None:
    width, height = size
    if width * height > MOST_PIXELS:
        raise PhotoTooLargeError(
            f"the photo has {width} x {height} pixels, and {MOST_PIXELS} at most are taken: upload a smaller one"
        )


def _check_scans(content: bytes, size: tuple[int, int]) -> None:
    # The marker of a scan; within one, every FF is followed by 00.
    scans = content.count(b"\xff\xda")
    if scans * math.prod(size) > MOST_SCANNED_PIXELS:
        raise PhotoTooLargeError(f"the photo goes over its pixels {scans} times: export it anew, with fewer scans")


def _orientation(image: Image.Image) -> int:
    """1 when there is none, or none that can be read: the photo is good without it."""
    try:
        return image.getexif().get(_ORIENTATION, 1)
    except Exception:
        return 1


def _plain(image: Image.Image) -> Image.Image:
    """The picture in a mode that can be made smaller: no palette, no single bits, eight bits a channel."""
    if image.mode.startswith("I;16"):
        return image.point(lambda value: value * (1 / 256)).convert("L")
    if image.mode in ("I", "F"):
        darkest, brightest = image.getextrema()
        scale = 255 / ((brightest - darkest) or 1)
        return image.point(lambda value: value * scale - darkest * scale).convert("L")
    if image.has_transparency_data:
        return image.convert("RGBA")
    if image.mode in ("L", "RGB", "CMYK"):
        return image
    return image.convert("L" if image.mode == "1" else "RGB")


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
    return image if size == image.size else image.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)


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
