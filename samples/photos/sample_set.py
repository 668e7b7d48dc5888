"""Sixty photos in every shape that photos come in, made of the six in this folder; each knows how it should be shown.

They are the same each time. `python -m samples.photos.sample_set FOLDER` writes them into a folder.
"""

from __future__ import annotations

import argparse
import io
import struct
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image, ImageCms, ImageOps, TiffImagePlugin

FOLDER = Path(__file__).parent
SOURCES = ("cat.png", "coffee.png", "raccoon.jpg", "rocket.jpg", "galaxies.jpg", "camera.png")
PLACE = "53.122751"
"""Where the photos with GPS data say that they were taken: it must not be found in what is made of them."""
ORIENTATION, GPS, ARTIST = 0x0112, 0x8825, 0x013B
TURNED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
"""How a camera that was held so stores an upright picture."""


@dataclass(frozen=True)
class Sample:
    """One photo."""

    name: str
    content: bytes
    shown: Image.Image
    """The picture as it should be shown, RGB or RGBA."""
    tolerance: float = 8.0
    """How far, of 255, the pixels of a thumbnail may be from `shown` on the average: lossy formats keep no more."""


def sample_set(long_side: int = 1600, megapixels: int = 24) -> list[Sample]:
    """The sixty, most of them `long_side` pixels long, one with so many megapixels."""
    with ThreadPoolExecutor() as threads:
        return list(threads.map(lambda make: make(), _plans(long_side, megapixels)))


def _plans(side: int, megapixels: int) -> Iterator[Callable[[], Sample]]:
    for number, source in enumerate(SOURCES):
        stem = source.partition(".")[0]
        yield partial(_jpeg, f"{stem}.jpg", source, side)
        yield partial(_jpeg, f"{stem}-progressive.jpeg", source, side, progressive=True, subsampling=number % 3)
        # The same name but for its end, which must not be mixed up.
        yield partial(_png, f"{stem}.png", source, side)
    for orientation in range(1, 9):
        yield partial(_jpeg, f"phone/{orientation}.JPG", "raccoon.jpg", side, orientation=orientation)
        yield partial(_jpeg, f"phone/portrait {orientation}.JPG", "coffee.png", side * 3 // 4, orientation=orientation)
    for source, orientation in (("cat.png", 1), ("rocket.jpg", 6)):
        yield partial(_webp, f"web/{source}.webp", source, side, orientation=orientation)
    yield partial(_webp, "web/exact.webp", "coffee.png", side // 2, lossless=True)
    yield partial(_webp, "web/alpha.webp", "cat.png", side // 2, alpha=True)
    yield partial(_png, "png/alpha.png", "cat.png", side, alpha=True)
    yield partial(_png, "png/turned.png", "raccoon.jpg", side, orientation=8)
    yield partial(_palette, "png/palette.png", "rocket.jpg", side, "PNG")
    yield partial(_palette, "png/palette-alpha.png", "cat.png", side, "PNG", alpha=True)
    yield partial(_bits, "png/one-bit.png", "camera.png", side)
    yield partial(_grey_16, "png/grey-16.png", "camera.png", side, "PNG")
    yield partial(_rgb_16, "png/rgb-16.png", "coffee.png", side // 2)
    for compression in ("raw", "tiff_lzw"):
        yield partial(_tiff, f"scans/{compression}.tif", "rocket.jpg", side // 2, compression=compression)
    yield partial(_tiff, "scans/turned.tiff", "raccoon.jpg", side // 2, orientation=5)
    yield partial(_tiff, "scans/cmyk.tiff", "coffee.png", side // 2, mode="CMYK")
    yield partial(_grey_16, "scans/grey-16.tiff", "camera.png", side // 2, "TIFF")
    yield partial(_palette, "animated.gif", "coffee.png", side // 2, "GIF", frames=3)
    yield partial(_palette, "still.gif", "raccoon.jpg", side // 2, "GIF")
    yield partial(_jpeg, "print/cmyk.jpg", "galaxies.jpg", side, mode="CMYK")
    yield partial(_jpeg, "print/swapped-profile.jpg", "coffee.png", side, profile=True)
    yield partial(_jpeg, "print/grey.jpg", "camera.png", side, mode="L")
    yield partial(_jpeg, "named-wrongly.png", "cat.png", side)
    yield partial(_jpeg, "tiny.jpg", "raccoon.jpg", 90)
    yield partial(_jpeg, "panorama.jpg", "galaxies.jpg", side, shape=(8, 1))
    yield partial(_jpeg, "tower.jpg", "galaxies.jpg", side, shape=(1, 6))
    height = int((megapixels * 1e6 * 2 / 3) ** 0.5)
    yield partial(_jpeg, f"{megapixels}-megapixels.jpg", "galaxies.jpg", height * 3 // 2, shape=(3, 2))


def _picture(source: str, side: int, shape: tuple[int, int] | None = None) -> Image.Image:
    """The source as RGB, so many pixels long; `shape`: cut out in the middle, width to height."""
    with Image.open(FOLDER / source) as image:
        picture = image.convert("RGB")
    # Some have a colour profile, which Pillow would write into others.
    picture.info = {}
    if shape:
        width, height = shape
        unit = side / max(shape)
        return ImageOps.fit(picture, (round(width * unit), round(height * unit)), Image.Resampling.BILINEAR)
    return ImageOps.contain(picture, (side, side), Image.Resampling.BICUBIC)


def _jpeg(
    name: str,
    source: str,
    side: int,
    *,
    orientation: int | None = None,
    mode: str = "RGB",
    profile: bool = False,
    shape: tuple[int, int] | None = None,
    **options: Any,
) -> Sample:
    shown = _picture(source, side, shape)
    if mode == "L":
        shown = shown.convert("L").convert("RGB")
    stored = _stored(shown, orientation).convert(mode)
    if mode == "CMYK":
        shown = stored.convert("RGB")
    if profile:
        red, green, blue = stored.split()
        stored = Image.merge("RGB", (green, red, blue))
        options["icc_profile"] = _swapped_profile()
    return Sample(name, _saved(stored, "JPEG", orientation, quality=88, **options), shown)


def _png(name: str, source: str, side: int, *, alpha: bool = False, orientation: int | None = None) -> Sample:
    shown = _faded(_picture(source, side)) if alpha else _picture(source, side)
    return Sample(name, _saved(_stored(shown, orientation), "PNG", orientation, compress_level=1), shown)


def _webp(
    name: str, source: str, side: int, *, alpha: bool = False, lossless: bool = False, orientation: int | None = None
) -> Sample:
    shown = _faded(_picture(source, side)) if alpha else _picture(source, side)
    stored = _stored(shown, orientation)
    return Sample(name, _saved(stored, "WEBP", orientation, quality=85, method=0, lossless=lossless), shown)


def _tiff(
    name: str, source: str, side: int, *, mode: str = "RGB", compression: str = "raw", orientation: int | None = None
) -> Sample:
    stored = _stored(_picture(source, side), orientation).convert(mode)
    shown = stored.convert("RGB") if mode != "RGB" else _picture(source, side)
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    if orientation:
        tags[ORIENTATION] = orientation
    return Sample(name, _saved(stored, "TIFF", compression=compression, tiffinfo=tags), shown)


def _palette(name: str, source: str, side: int, format: str, *, alpha: bool = False, frames: int = 1) -> Sample:
    stored = _picture(source, side).quantize(200, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    options: dict[str, Any] = {}
    shown = stored.convert("RGB")
    if alpha:
        options["transparency"] = 0
        mask = stored.point(lambda index: 0 if index == 0 else 255, "L")
        shown.putalpha(mask)
    if frames > 1:
        options |= {"save_all": True, "append_images": [stored.rotate(90 * each) for each in range(1, frames)]}
    return Sample(name, _saved(stored, format, **options), shown)


def _bits(name: str, source: str, side: int) -> Sample:
    stored = _picture(source, side).convert("L").point(lambda value: 255 * (value > 100), "1")
    return Sample(name, _saved(stored, "PNG"), stored.convert("RGB"))


def _grey_16(name: str, source: str, side: int, format: str) -> Sample:
    grey = _picture(source, side).convert("L")
    stored = Image.frombytes("I;16", grey.size, _widened(grey.tobytes()), "raw", "I;16B")
    return Sample(name, _saved(stored, format), grey.convert("RGB"))


def _rgb_16(name: str, source: str, side: int) -> Sample:
    """A PNG of 16 bits a channel, which Pillow can only read."""
    shown = _picture(source, side)
    width, height = shown.size
    row = width * 6
    wide = _widened(shown.tobytes())
    rows = b"".join(b"\0" + wide[start : start + row] for start in range(0, len(wide), row))
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows, 1)), (b"IEND", b""))
    written = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return Sample(name, b"\x89PNG\r\n\x1a\n" + written, shown)


def _widened(channel: bytes) -> bytes:
    """Of each byte, sixteen bits; the lower eight must not matter."""
    wide = bytearray(b"\x55") * (2 * len(channel))
    wide[::2] = channel
    return bytes(wide)


def _faded(picture: Image.Image) -> Image.Image:
    """See-through at the left, solid at the right."""
    faded = picture.copy()
    faded.putalpha(Image.linear_gradient("L").rotate(90).resize(picture.size))
    return faded


def _stored(shown: Image.Image, orientation: int | None) -> Image.Image:
    turn = TURNED.get(orientation or 1)
    return shown if turn is None else shown.transpose(turn)


def _saved(image: Image.Image, format: str, orientation: int | None = None, **options: Any) -> bytes:
    if orientation:
        options["exif"] = _exif(orientation)
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def _exif(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    exif[ARTIST] = f"Somebody at {PLACE}"
    exif.get_ifd(GPS).update({1: "N", 2: (53.0, 7.0, 21.9), 3: "E", 4: (8.0, 1.0, 2.0)})
    return exif


def _swapped_profile() -> bytes:
    """A colour profile in which red means green, and green red: that of sRGB, with two entries of its table swapped."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    # Its header says when it was made.
    profile = profile[:24] + struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + profile[36:]
    return profile.replace(b"rXYZ", b"?XYZ").replace(b"gXYZ", b"rXYZ").replace(b"?XYZ", b"gXYZ")


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the sixty into a folder."""
    parser = argparse.ArgumentParser(prog="python -m samples.photos.sample_set")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--long-side", type=int, default=1600, help="pixels (default: 1600)")
    options = parser.parse_args(arguments)
    for sample in sample_set(options.long_side):
        path = options.folder / sample.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(sample.content)
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
