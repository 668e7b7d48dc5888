"""How pictures are compared, by other means than those by which the app makes them; and files that mean harm."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable

from PIL import Image, ImageChops, ImageStat

from samples.photos.sample_set import PLACE, Sample


def expected_size(sample: Sample, side: int) -> tuple[int, int]:
    """The size of a thumbnail: the longer side as wanted, the other in proportion, nothing enlarged."""
    width, height = sample.shown.size
    if max(width, height) <= side:
        return width, height
    return max(1, round(width * side / max(width, height))), max(1, round(height * side / max(width, height)))


def check_thumbnail(sample: Sample, content: bytes, format: str, side: int) -> None:
    """Assert that a thumbnail shows the sample: format, size, every pixel on the average, the corners, no metadata."""
    with Image.open(io.BytesIO(content)) as image:
        image.load()
    about = f"{sample.name} {side} {format}"
    assert image.format == format.upper(), about
    assert image.size == expected_size(sample, side), about
    assert image.mode == ("RGBA" if format == "webp" and _is_see_through(sample.shown) else "RGB"), about
    wanted = sample.shown.resize(image.size, Image.Resampling.LANCZOS)
    assert difference(image, wanted) < sample.tolerance, about
    for corner, wanted_corner in zip(_corners(image), _corners(wanted), strict=True):
        assert difference(corner, wanted_corner) < 2 * sample.tolerance, about
    assert not {"exif", "icc_profile", "xmp", "comment", "photoshop"} & set(image.info), about
    assert not image.getexif(), about
    assert PLACE.encode() not in content, about


def difference(one: Image.Image, other: Image.Image) -> float:
    """How far apart two pictures are, of 255, on white, on the average."""
    return sum(ImageStat.Stat(ImageChops.difference(_on_white(one), _on_white(other))).mean) / 3


def _on_white(image: Image.Image) -> Image.Image:
    seen = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", seen.size, "white"), seen).convert("RGB")


def _is_see_through(image: Image.Image) -> bool:
    return image.mode == "RGBA" and image.getextrema()[3][0] < 255


def _corners(image: Image.Image) -> list[Image.Image]:
    width, height = image.size
    across, down = max(1, width // 4), max(1, height // 4)
    starts = [(0, 0), (width - across, 0), (0, height - down), (width - across, height - down)]
    return [image.crop((x, y, x + across, y + down)) for x, y in starts]


def saved(image: Image.Image, format: str, **options) -> bytes:
    """The file that Pillow makes of an image."""
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def png(width: int, height: int, *, before: bytes = b"", after: bytes = b"", pixels: bytes | None = None) -> bytes:
    """An RGB PNG that may say what is not so: `before` and `after` are chunks around the pixels."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    data = zlib.compress(b"\0" * (8 * 25)) if pixels is None else pixels
    return b"\x89PNG\r\n\x1a\n" + header + before + chunk(b"IDAT", data) + after + chunk(b"IEND", b"")


def chunk(kind: bytes, data: bytes) -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def tiff(**tags: tuple[int, int, int]) -> bytes:
    """An 8 x 8 TIFF with some of its tags (`t256=(type, count, value)`) replaced."""
    said = {256: (4, 1, 8), 257: (4, 1, 8), 258: (3, 1, 8), 259: (3, 1, 1), 262: (3, 1, 1), 273: (4, 1, 8)}
    said |= {277: (3, 1, 1), 278: (4, 1, 8), 279: (4, 1, 64)} | {int(tag[1:]): value for tag, value in tags.items()}
    entries = b"".join(struct.pack("<HHII", tag, *value) for tag, value in sorted(said.items()))
    # The next directory is this one again.
    return (
        b"II*\0" + struct.pack("<I", 72) + b"\1" * 64 + struct.pack("<H", len(said)) + entries + struct.pack("<I", 72)
    )


def progressive_jpeg(width: int, height: int, scans: int = 1) -> bytes:
    """A small JPEG that says it is so large, its last scan repeated."""
    small = saved(Image.new("RGB", (64, 64), "red"), "JPEG", progressive=True)
    size, last = small.index(b"\xff\xc2") + 5, small.rindex(b"\xff\xda")
    small = small[:last] + small[last:-2] * scans + b"\xff\xd9"
    return small[:size] + struct.pack(">HH", height, width) + small[size + 4 :]


def webp(width: int, height: int) -> bytes:
    """A small WebP that says it is so large."""
    small = saved(Image.new("RGBA", (8, 8), (1, 2, 3, 4)), "WEBP", exif=b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0")
    at = small.index(b"VP8X") + 12
    return small[:at] + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little") + small[at + 6 :]


def gif(width: int, height: int) -> bytes:
    """A small GIF that says it is so large."""
    small = saved(Image.new("P", (8, 8)), "GIF")
    return small[:6] + struct.pack("<HH", width, height) + small[10:]


_BOMB = zlib.compress(b"\0" * 50_000_000, 9)
_PHOTO = saved(Image.linear_gradient("L").convert("RGB"), "JPEG")
HOSTILE: dict[str, tuple[str, Callable[[], bytes]]] = {
    "empty": ("NotAPhoto", lambda: b""),
    "text": ("NotAPhoto", lambda: b"this is no photo"),
    "svg": ("NotAPhoto", lambda: b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'),
    "pdf": ("NotAPhoto", lambda: b"%PDF-1.7\n" + bytes(100)),
    "postscript": ("NotAPhoto", lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"),
    "zip": ("NotAPhoto", lambda: b"PK\x03\x04" + bytes(100)),
    "bmp": ("NotAPhoto", lambda: saved(Image.new("RGB", (8, 8)), "BMP")),
    "one byte": ("NotAPhoto", lambda: b"\xff"),
    "zeros": ("NotAPhoto", lambda: bytes(1000)),
    "jpeg: magic alone": ("PhotoDamaged", lambda: b"\xff\xd8\xff\xe0"),
    "png: magic alone": ("PhotoDamaged", lambda: b"\x89PNG\r\n\x1a\n"),
    "gif: magic alone": ("PhotoDamaged", lambda: b"GIF89a"),
    "webp: magic alone": ("PhotoDamaged", lambda: b"RIFF\x10\0\0\0WEBPVP8 "),
    "tiff: magic alone": ("PhotoDamaged", lambda: b"II*\0\x08\0\0\0"),
    "jpeg: cut off": ("PhotoDamaged", lambda: _PHOTO[: len(_PHOTO) // 2]),
    "png: no pixels": ("PhotoDamaged", lambda: png(8, 8, pixels=b"")),
    "png: 0 x 0": ("PhotoDamaged", lambda: png(0, 0)),
    "png: too few pixels": ("PhotoDamaged", lambda: png(800, 800)),
    "tiff: strip is elsewhere": ("PhotoDamaged", lambda: tiff(t273=(4, 1, 2**31))),
    "tiff: too few pixels": ("PhotoDamaged", lambda: tiff(t256=(4, 1, 900), t257=(4, 1, 900))),
    "tiff: no such compression": ("PhotoDamaged", lambda: tiff(t259=(3, 1, 4242))),
    "tiff: a tag of 4 GB": ("PhotoDamaged", lambda: tiff(t273=(4, 2**32 - 1, 8))),
    "tiff: 65535 channels": ("PhotoDamaged", lambda: tiff(t277=(3, 1, 65535))),
    "webp: lies of 59 megapixels": ("PhotoDamaged", lambda: webp(9000, 6500)),
    "png: just too many pixels": ("PhotoTooLarge", lambda: png(7_501, 8_000)),
    "png: 2.5 gigapixels": ("PhotoTooLarge", lambda: png(50_000, 50_000)),
    "png: 2^62 pixels": ("PhotoTooLarge", lambda: png(2**31 - 1, 2**31 - 1)),
    "jpeg: 4 gigapixels": ("PhotoTooLarge", lambda: progressive_jpeg(65_500, 65_500)),
    "jpeg: 5000 scans": ("PhotoTooLarge", lambda: progressive_jpeg(9000, 6500, scans=5000)),
    "tiff: a JPEG of 5000 scans": (
        "PhotoTooLarge",
        lambda: tiff(t256=(4, 1, 9000), t257=(4, 1, 6500), t259=(3, 1, 7), t278=(4, 1, 6500)) + b"\xff\xda" * 5000,
    ),
    "tiff: a tile of 400 megapixels": (
        "PhotoTooLarge",
        lambda: tiff(t322=(4, 1, 20_000), t323=(4, 1, 20_000), t324=(4, 1, 8), t325=(4, 1, 64)),
    ),
    "gif: 4 gigapixels": ("PhotoTooLarge", lambda: gif(65_535, 65_535)),
    "webp: 268 megapixels": ("PhotoTooLarge", lambda: webp(16_384, 16_384)),
    "tiff: 2^62 pixels": ("PhotoTooLarge", lambda: tiff(t256=(4, 1, 2**31), t257=(4, 1, 2**31))),
    "png: text bomb": ("PhotoTooLarge", lambda: png(8, 8, before=chunk(b"zTXt", b"a\0\0" + _BOMB))),
    "png: text bomb at the end": ("PhotoTooLarge", lambda: png(8, 8, after=chunk(b"zTXt", b"a\0\0" + _BOMB))),
    "png: international text bomb": ("PhotoTooLarge", lambda: png(8, 8, before=chunk(b"iTXt", b"a\0\1\0\0\0" + _BOMB))),
    "png: profile bomb": ("PhotoTooLarge", lambda: png(8, 8, before=chunk(b"iCCP", b"a\0\0" + _BOMB))),
    "png: a hundred texts": (
        "PhotoTooLarge",
        lambda: png(8, 8, before=chunk(b"zTXt", b"a\0\0" + zlib.compress(b"a" * 1_000_000)) * 100),
    ),
}
"""Files by name: the error with which each must end, and how to make it."""
