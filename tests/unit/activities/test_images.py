"""Pictures: every shape of photo becomes the right thumbnails, and bounds are kept before anything is decoded."""

from __future__ import annotations

import io
import math
import multiprocessing
import re
import struct
from functools import lru_cache
from pathlib import Path

import pytest
from PIL import Image, ImageChops, ImageFile

from activities import image_bounds, images
from samples.photos.sample_set import PLACE, Sample, sample_set
from tests.pictures import check_thumbnail, difference, png, progressive_jpeg, saved, tiff


@lru_cache
def samples() -> dict[str, Sample]:
    return {sample.name: sample for sample in sample_set(300, megapixels=1)}


def made(content: bytes, side: int) -> dict[str, images.File]:
    return {file.format: file for file in images.thumbnail(images.prepare(content), side)}


def test_the_sample_set_is_what_it_says():
    assert len(samples()) == 60
    formats = {images.inspect(sample.content).format for sample in samples().values()}
    assert formats == set(images.FORMATS)
    assert sum(PLACE.encode() in sample.content for sample in samples().values()) >= 16
    assert [sample.content for sample in sample_set(300, megapixels=1)] == [each.content for each in samples().values()]


@pytest.mark.parametrize("name", samples())
def test_a_thumbnail_shows_its_photo(name):
    sample = samples()[name]
    for side in (1280, 200):
        for format, file in made(sample.content, side).items():
            check_thumbnail(sample, file.content, format, side)
            assert Image.open(io.BytesIO(file.content)).size == (file.width, file.height)


@pytest.mark.parametrize("orientation", range(2, 9))
def test_a_photo_that_was_not_turned_would_be_noticed(orientation):
    sample = samples()[f"phone/{orientation}.JPG"]
    stored = Image.open(io.BytesIO(sample.content)).convert("RGB")
    stored.info = {}
    with pytest.raises(AssertionError):
        check_thumbnail(sample, made(saved(stored, "JPEG"), 200)["webp"].content, "webp", 200)


def test_sizes_are_those_of_the_whole_photo_and_not_of_what_it_was_decoded_to():
    content = saved(Image.new("RGB", (4000, 2999)), "JPEG")
    photo = images.prepare(content)
    assert photo.image.size == (1280, 960)
    assert [images.thumbnail(photo, side)[0].height for side in (1280, 640, 160)] == [960, 480, 120]


def test_a_jpeg_is_decoded_no_larger_than_it_is_needed(monkeypatch):
    sizes = []
    load = ImageFile.ImageFile.load
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda image: sizes.append(image.size) or load(image))
    images.prepare(saved(Image.new("RGB", (6000, 4000)), "JPEG"))
    assert sizes[0] == (1500, 1000)


def test_a_line_of_pixels_stays_one():
    assert made(saved(Image.new("RGB", (5000, 1)), "PNG"), 160)["webp"].height == 1


def test_the_first_picture_of_an_animation():
    sample = samples()["animated.gif"]
    assert Image.open(io.BytesIO(sample.content)).n_frames == 3
    assert difference(images.prepare(sample.content).image, sample.shown) < 3


def test_alpha_is_kept_in_webp_and_white_in_jpeg():
    made_of = made(saved(Image.new("RGBA", (9, 9), (0, 0, 0, 0)), "PNG"), 160)
    assert Image.open(io.BytesIO(made_of["webp"].content)).getpixel((4, 4))[3] == 0
    assert min(Image.open(io.BytesIO(made_of["jpeg"].content)).getpixel((4, 4))) > 250


def test_alpha_that_hides_nothing_is_none():
    assert images.prepare(saved(Image.new("RGBA", (9, 9), (1, 2, 3, 255)), "PNG")).image.mode == "RGB"


@pytest.mark.parametrize("mode", ["I", "F"])
def test_numbers_without_a_scale_are_spread_over_all_greys(mode):
    ramp = Image.linear_gradient("L").convert(mode).point(lambda value: value * 1000 + 5)
    photo = images.prepare(saved(ramp, "TIFF"))
    assert photo.image.convert("L").getextrema() == (0, 255)


@pytest.mark.parametrize("profile", [b"no profile", b""])
def test_a_photo_is_good_without_its_profile(profile):
    content = saved(Image.new("RGB", (9, 9), "red"), "JPEG", icc_profile=profile)
    assert difference(images.prepare(content).image, Image.new("RGB", (9, 9), "red")) < 3


@pytest.mark.parametrize("exif", [b"Exif\0\0rubbish", b"Exif\0\0II*\0\xff\xff\xff\xff", b""])
def test_a_photo_is_good_without_its_metadata(exif):
    assert images.prepare(saved(Image.new("RGB", (9, 5), "red"), "JPEG", exif=exif)).size == (9, 5)


def test_the_length_is_looked_at_before_the_file_is():
    images.check_length(images.MOST_BYTES)
    with pytest.raises(images.PhotoTooLargeError, match="40000001 bytes"):
        images.check_length(images.MOST_BYTES + 1)


def test_pixels_are_counted_before_they_are_decoded(monkeypatch):
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda image: pytest.fail("decoded"))
    assert images.inspect(png(7_500, 8_000)).width == 7_500
    with pytest.raises(images.PhotoTooLargeError, match="7501 x 8000 pixels"):
        images.prepare(png(7_501, 8_000))


def test_scans_are_counted_as_often_as_they_go_over_the_photo():
    images.inspect(progressive_jpeg(64, 64, scans=5000))
    images.inspect(progressive_jpeg(9000, 6500))
    with pytest.raises(images.PhotoTooLargeError, match="times"):
        images.inspect(progressive_jpeg(9000, 6500, scans=100))


_RGB = {"t256": (4, 1, 7500), "t257": (4, 1, 8000), "t262": (3, 1, 2), "t277": (3, 1, 3)}


@pytest.mark.parametrize(
    ("content", "taken"),
    [
        (lambda: png(7500, 8000), 291),
        (lambda: png(7500, 8000, after=bytes(30_000_000)), 380),
        (lambda: png(2, 30_000_000), 490),
        (lambda: saved(Image.new("RGB", (4000, 3000)), "WEBP", method=0), 193),
        (lambda: progressive_jpeg(7500, 8000), 197),
        (lambda: tiff(**_RGB, t278=(4, 1, 8)), 293),
        (lambda: tiff(**_RGB, t278=(4, 1, 8000)), 458),
        (lambda: tiff(**_RGB, t278=(4, 1, 8), t274=(3, 1, 6)), 486),
    ],
)
def test_memory_is_told_from_the_header_and_is_enough(content, taken):
    """`taken`: megabytes that decoding such a photo was measured to take."""
    told = images.memory(content()) / 1_000_000
    assert taken <= told < 1.8 * taken


@pytest.mark.parametrize("tags", [{274: 6}, {700: b'<x:xmpmeta tiff:Orientation="6"/>'}])
def test_a_tiff_on_its_side_is_put_upright_once(tags):
    wide = Image.linear_gradient("L").resize((1500, 1000))
    photo = images.prepare(saved(wide, "TIFF", tiffinfo=tags))
    assert (photo.size, photo.image.size) == ((1000, 1500), (853, 1280))
    left, right = (photo.image.convert("L").getpixel((x, 640)) for x in (8, 844))
    assert left > 240 and right < 15


def test_a_tiff_need_not_say_how_long_its_strips_are():
    content = tiff().replace(struct.pack("<H", 279), struct.pack("<H", 280))
    assert images.prepare(content).size == (8, 8)


@pytest.mark.parametrize("is_shared", [False, True])
def test_each_strip_of_a_tiff_has_a_scan_of_its_own(is_shared):
    content = saved(Image.new("L", (64, 16_000)), "TIFF", compression="jpeg", strip_size=512)
    with Image.open(io.BytesIO(content)) as image:
        assert len(image.tag_v2[273]) == 2000
        starts = struct.pack("<2I", *image.tag_v2[273][:2])
    content = content.replace(starts, starts[:4] * 2) if is_shared else content
    assert content.count(starts[:4] * 2) == is_shared
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(image_bounds, "MOST_SCANNED_PIXELS", 64 * 16_000 * 40)
        if is_shared:
            with pytest.raises(images.PhotoTooLargeError, match="times"):
                images.inspect(content)
        else:
            assert images.prepare(content).size == (64, 16_000)


@pytest.mark.parametrize("mode", ["1", "P", "RGBA", "CMYK", "I;16", "F"])
def test_a_photo_that_is_reduced_in_parts_looks_as_if_it_was_not(mode, monkeypatch):
    wave = Image.radial_gradient("L").resize((1300, 651))
    whole = (Image.merge("RGBA", (wave, wave, wave, wave)) if mode == "RGBA" else wave).convert(mode)
    monkeypatch.setattr(image_bounds, "AT_ONCE", 50_000)
    copied, convert = [0], Image.Image.convert
    with monkeypatch.context() as patch:
        patch.setattr(Image.Image, "convert", lambda it, *how: copied.append(math.prod(it.size)) or convert(it, *how))
        parts = images._reduced(whole, (320, 160))
    assert max(copied) < math.prod(whole.size) / 2
    monkeypatch.setattr(image_bounds, "AT_ONCE", whole.width * 652)
    assert ImageChops.difference(images._reduced(whole, (320, 160)), parts).getbbox() is None
    plain = whole if mode in ("L", "RGB", "RGBA", "CMYK") else images._conversion(whole)(whole)
    at_once = plain.resize((320, 160), Image.Resampling.LANCZOS, reducing_gap=images.GAP)
    assert difference(parts, at_once) < 0.5


def test_a_photo_takes_no_more_memory_than_was_said():
    size = (2400, 2400)
    colour = Image.new("RGBA", size, (200, 100, 50, 128))
    files = {
        "progressive": saved(colour.convert("RGB"), "JPEG", progressive=True, subsampling=0),
        "see-through": saved(colour, "PNG", compress_level=1),
        "webp": saved(colour, "WEBP", method=0),
    }
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        for name, content in files.items():
            # In this order, as the most that a process has taken never falls.
            taken = pool.apply(memory_taken, (content,))
            assert taken < images.memory(content) < 4 * taken, name


def memory_taken(content: bytes) -> int:
    """Bytes that this process has taken at most, beyond what it took before its first photo."""
    global idle
    idle = idle or _peak()
    images.prepare(content)
    return _peak() - idle


idle = 0


def _peak() -> int:
    return int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024


def test_too_little_memory_is_an_answer(monkeypatch):
    def fail(image):
        raise MemoryError

    monkeypatch.setattr(ImageFile.ImageFile, "load", fail)
    with pytest.raises(images.PhotoTooLargeError, match="memory"):
        images.prepare(png(8, 8))
