"""The activities of photos against Azurite: a version of a photo is decoded once, and its thumbnails are its own."""

from __future__ import annotations

import asyncio
import json
from hashlib import sha256
from uuid import uuid4

import pytest
from PIL import Image

from activities import images, photos
from activities.images import MOST_BYTES, NotAPhotoError, PhotoTooLargeError
from jobs.clients import clients
from jobs.errors import BlobChangedError
from tests.pictures import saved
from tests.unit.activities.calls import call

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("storage")]

RED = saved(Image.new("RGB", (300, 200), "red"), "JPEG")
BLUE = saved(Image.new("RGB", (300, 200), "blue"), "PNG")


async def put(content: bytes, name: str | None = None) -> dict[str, str]:
    """Upload a photo, and return what names its version."""
    name = name or f"{uuid4().hex}/a photo.jpg"
    uploaded = await clients().container("photos").upload_blob(name, content, overwrite=True)
    return {"name": name, "etag": (await uploaded.get_blob_properties()).etag}


async def inspect(version: dict[str, str]) -> dict:
    return await photos.inspect(call("inspect_photo", version))


async def shrink(version: dict[str, str], size: int = 160) -> list[dict]:
    return await photos.shrink(call(f"make_thumbnails.{size}", {**version, "size": size}))


async def read(blob: str) -> bytes:
    container, _, name = blob.partition("/")
    return await (await clients().container(container).download_blob(name)).readall()


async def test_what_a_photo_is():
    version = await put(RED)
    facts = {"bytes": len(RED), "format": "JPEG", "width": 300, "height": 200}
    assert await inspect(version) == {**version, **facts}


async def test_a_file_says_what_it_is_and_may_be_kept_by_browsers():
    for file in await shrink(await put(RED)):
        content = await read(file["blob"])
        assert (len(content), sha256(content).hexdigest()) == (file["bytes"], file["sha256"])
        assert (file["size"], file["width"], file["height"]) == (160, 160, 107)
        client = clients().container("thumbnails").get_blob_client(file["blob"].removeprefix("thumbnails/"))
        settings = (await client.get_blob_properties()).content_settings
        assert settings.content_type == f"image/{file['format']}"
        assert "immutable" in settings.cache_control


async def test_a_version_is_made_again_as_it_was():
    version = await put(RED)
    assert await shrink(version) == await shrink(version)


async def test_no_two_photos_and_no_two_versions_share_a_name():
    folder = uuid4().hex
    names = [f"{folder}/cat.jpg", f"{folder}/cat.png", f"{folder}/cat", f"{folder}/cat/160.webp", f"{folder}/Cat.jpg"]
    versions = [await put(RED, name) for name in names]
    versions.append(await put(BLUE, names[0]))
    with pytest.raises(BlobChangedError):
        await shrink(versions[0])
    versions[0] = await put(RED, names[0])
    blobs = [file["blob"] for version in versions[:1] + versions[1:5] for file in await shrink(version)]
    blobs += [file["blob"] for file in await shrink(await put(BLUE, names[0]))]
    assert len(set(blobs)) == len(blobs) == 12


async def test_all_sizes_at_once_read_and_decode_the_photo_once(monkeypatch):
    prepared, downloads = [], []
    prepare, read_photo = images.prepare, photos._read
    monkeypatch.setattr(images, "prepare", lambda content: prepared.append(1) or prepare(content))
    monkeypatch.setattr(photos, "_read", lambda *version: downloads.append(1) or read_photo(*version))
    version = await put(RED)
    await asyncio.gather(*(shrink(version, size) for size in (1280, 640, 160)))
    assert (len(prepared), len(downloads)) == (1, 1)


async def test_what_failed_is_tried_again(monkeypatch):
    version = await put(RED)
    prepare, tries = images.prepare, []

    def fail_once(content):
        tries.append(1)
        if len(tries) == 1:
            raise images.PhotoDamagedError("not this time")
        return prepare(content)

    monkeypatch.setattr(images, "prepare", fail_once)
    with pytest.raises(images.PhotoDamagedError):
        await shrink(version)
    assert len(await shrink(version)) == 2


async def test_only_a_few_prepared_photos_are_kept():
    for _ in range(photos.RECENT + 3):
        await shrink(await put(RED))
    assert len(photos._workshop()._recent) == photos.RECENT


async def test_few_photos_are_in_memory_at_once(monkeypatch):
    at_work, most = 0, 0
    in_thread = photos._in_thread

    async def counted(work, *arguments):
        nonlocal at_work, most
        at_work += 1
        most = max(most, at_work)
        await asyncio.sleep(0.01)
        try:
            return await in_thread(work, *arguments)
        finally:
            at_work -= 1

    monkeypatch.setattr(photos, "_in_thread", counted)
    versions = [await put(RED) for _ in range(12)]
    await asyncio.gather(*map(shrink, versions))
    assert 1 < most <= photos._processors + 2


async def test_photos_that_take_much_memory_are_decoded_one_after_another(monkeypatch):
    at_work, most = 0, 0
    in_thread = photos._in_thread

    async def counted(work, *arguments):
        nonlocal at_work, most
        is_decoding = work is images.prepare
        at_work += is_decoding
        most = max(most, at_work)
        await asyncio.sleep(0.01)
        try:
            return await in_thread(work, *arguments)
        finally:
            at_work -= is_decoding

    monkeypatch.setattr(photos, "_in_thread", counted)
    monkeypatch.setattr(images, "memory", lambda content: photos.MEMORY // 2 + 1)
    versions = [await put(RED) for _ in range(4)]
    await asyncio.gather(*map(shrink, versions))
    assert most == 1


async def test_another_version_is_not_taken_for_this_one():
    version = await put(RED)
    await put(BLUE, version["name"])
    for work in (inspect, shrink):
        with pytest.raises(BlobChangedError):
            await work(version)
    await clients().container("photos").delete_blob(version["name"])
    for work in (inspect, shrink):
        with pytest.raises(BlobChangedError):
            await work(version)


async def test_a_photo_that_is_too_long_is_not_downloaded(monkeypatch):
    monkeypatch.setattr(images, "MOST_BYTES", len(RED) - 1)
    monkeypatch.setattr(photos, "_read", lambda *version: pytest.fail("downloaded"))
    with pytest.raises(PhotoTooLargeError):
        await inspect(await put(RED))
    assert MOST_BYTES == 40_000_000


async def test_an_empty_file_is_no_photo():
    with pytest.raises(NotAPhotoError):
        await inspect(await put(b""))


async def test_the_longest_name_has_room_for_its_thumbnails():
    version = await put(RED, f"{uuid4().hex}/{'x' * (photos.LONGEST_NAME - 33)}")
    await inspect(version)
    assert len(await shrink(version, 1280)) == 2
    with pytest.raises(photos.PhotoNameError, match="981 characters"):
        await inspect(await put(RED, version["name"] + "x"))


async def test_the_manifest_is_what_it_was_given():
    version = await put(RED)
    given = {"photo": version, "thumbnails": await shrink(version)}
    written = await photos.list_thumbnails(call("write_manifest", given))
    assert json.loads(await read(written["blob"])) == given
    assert written["blob"].rpartition("/")[0] == given["thumbnails"][0]["blob"].rpartition("/")[0]
