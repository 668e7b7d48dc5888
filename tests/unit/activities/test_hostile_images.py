"""Files that mean harm: each becomes thumbnails or one of three errors. One that hangs meets pytest's time limit."""

from __future__ import annotations

import io
from functools import lru_cache

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from activities import images
from samples.photos.sample_set import PLACE, sample_set
from tests.pictures import HOSTILE

ERRORS = (images.NotAPhotoError, images.PhotoTooLargeError, images.PhotoDamagedError)
MAGIC = (b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"RIFF\xff\0\0\0WEBPVP8L", b"II*\0", b"MM\0*", b"II+\0", b"GIF89a")
many = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.data_too_large, HealthCheck.too_slow],
    database=None,
)


@lru_cache
def photos() -> list[bytes]:
    return [sample.content for sample in sample_set(60, megapixels=1)[:-4]]


def treat(content: bytes) -> str:
    """What the job does with the file: "thumbnails", or the type of the error. Nothing else may come of it."""
    try:
        images.inspect(content)
        photo = images.prepare(content)
        for file in images.thumbnail(photo, 64):
            assert max(file.width, file.height) <= 64
            assert images.inspect(file.content).format == file.format.upper()
        return "thumbnails"
    except ERRORS as error:
        assert PLACE not in str(error)
        assert len(str(error)) < 200
        return error.type


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_ends_with_its_reason(name):
    reason, make = HOSTILE[name]
    assert treat(make()) == reason


@many
@given(st.data())
def test_cut_off_anywhere(data):
    photo = data.draw(st.sampled_from(photos()))
    treat(photo[: data.draw(st.integers(0, len(photo) - 1))])


@many
@given(st.data())
def test_bits_flipped_anywhere(data):
    photo = bytearray(data.draw(st.sampled_from(photos())))
    for place in data.draw(st.lists(st.integers(0, 8 * len(photo) - 1), min_size=1, max_size=20)):
        photo[place // 8] ^= 1 << place % 8
    treat(bytes(photo))


@many
@given(st.data())
def test_headers_that_say_something_else(data):
    photo = bytearray(data.draw(st.sampled_from(photos())))
    for place in data.draw(st.lists(st.integers(0, min(len(photo), 400) - 1), min_size=1, max_size=8)):
        photo[place] = data.draw(st.sampled_from([0, 1, 127, 128, 255]))
    treat(bytes(photo))


@many
@given(st.sampled_from(MAGIC), st.binary(max_size=400))
def test_anything_after_a_magic_number(magic, rest):
    treat(magic + rest)


@many
@given(st.data())
def test_the_end_of_another_photo(data):
    one, other = (data.draw(st.sampled_from(photos())) for _ in range(2))
    treat(one[: data.draw(st.integers(0, len(one)))] + other[data.draw(st.integers(0, len(other))) :])


def test_an_error_says_nothing_of_the_metadata():
    photo = next(photo for photo in photos() if PLACE.encode() in photo)
    for length in range(0, len(photo), max(1, len(photo) // 100)):
        treat(photo[:length] + b"\xff\xd8" + io.BytesIO(photo).read(9))
