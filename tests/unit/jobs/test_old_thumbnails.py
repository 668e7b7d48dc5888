"""Old thumbnails: those of the version that a photo has stay, all others go once nothing can show them any more."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest
from azure.core.exceptions import ResourceNotFoundError

from jobs import clock, old_thumbnails
from jobs.ages import ages
from jobs.clients import clients
from jobs.erasing import Eraser
from jobs.thumbnails import MANIFEST, folder, photo_of

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("storage")]


@pytest.fixture
def later(monkeypatch):
    """Moves the clock: what a blob's age is, storage says."""
    now = clock.now
    monkeypatch.setattr(clock, "now", lambda: now() + timedelta(days=31))


async def version(name: str, *, files: tuple[str, ...] = ("160.webp", "1280.jpeg", MANIFEST)) -> str:
    """Upload a version of a photo, and its thumbnails. Returns their folder."""
    uploaded = await clients().container("photos").upload_blob(name, uuid4().bytes, overwrite=True)
    where = folder(name, (await uploaded.get_blob_properties()).etag)
    for file in files:
        await clients().container("thumbnails").upload_blob(where + file, b"x")
    return where


async def clean_up(*, dry_run: bool = False) -> int:
    eraser, continuation, first = Eraser(dry_run=dry_run), None, True
    while first or continuation is not None:
        continuation, first = await old_thumbnails.erase(eraser, ages(), continuation), False
    return eraser.counts["thumbnails"]


async def left(prefix: str) -> set[str]:
    names = clients().container("thumbnails").list_blob_names(name_starts_with=prefix)
    return {name.rpartition("/")[0] + "/" async for name in names}


async def test_versions_that_were_replaced_go_and_the_present_one_stays(later):
    root = uuid4().hex
    # The thumbnails of one photo may look like another photo.
    names = [f"{root}/cat.jpg", f"{root}/cat.jpg/{'0' * 16}/160.webp", f"{root}/ünï 100%.png"]
    old = [await version(name) for name in names for _ in range(2)]
    new = [await version(name) for name in names]
    counted = await clean_up(dry_run=True)
    assert await left(root) == {*old, *new}
    assert await clean_up() == counted >= 3 * len(old)
    assert await left(root) == set(new)


async def test_young_ones_stay():
    root = uuid4().hex
    old, new = await version(f"{root}/cat.jpg"), await version(f"{root}/cat.jpg")
    gone = await version(f"{root}/dog.jpg")
    await clients().container("photos").delete_blob(f"{root}/dog.jpg")
    await clean_up()
    assert await left(root) == {old, new, gone}


async def test_old_ones_stay_while_those_that_replace_them_are_young(monkeypatch):
    root = uuid4().hex
    old, new = await version(f"{root}/cat.jpg"), await version(f"{root}/cat.jpg")
    page_of = old_thumbnails.page_of

    async def aged(*arguments):
        blobs, token = await page_of(*arguments)
        blobs = [blob for blob in blobs if blob.name.startswith(old)]
        for blob in blobs:
            blob.last_modified -= timedelta(days=31)
        return blobs, token

    monkeypatch.setattr(old_thumbnails, "page_of", aged)
    await clean_up()
    assert await left(root) == {old, new}


async def test_those_of_a_photo_that_is_gone_go_unless_they_are_made_anew_meanwhile(later, monkeypatch):
    root = uuid4().hex
    where = await version(f"{root}/cat.jpg", files=(MANIFEST,))
    await clients().container("photos").delete_blob(f"{root}/cat.jpg")
    page_of = old_thumbnails.page_of

    async def then_written(*arguments):
        found = await page_of(*arguments)
        await clients().container("thumbnails").upload_blob(where + MANIFEST, b"y", overwrite=True)
        return found

    with monkeypatch.context() as patch:
        patch.setattr(old_thumbnails, "page_of", then_written)
        await clean_up()
    assert await left(root) == {where}
    await clean_up()
    assert await left(root) == set()


async def test_without_those_of_the_present_version_the_ones_before_it_stay(later):
    root = uuid4().hex
    old = await version(f"{root}/cat.jpg")
    await version(f"{root}/cat.jpg", files=())
    await clean_up()
    assert await left(root) == {old}


async def test_files_of_others_stay(later):
    root = uuid4().hex
    others = ("logo.webp", "abc/160.webp", f"{'0' * 16}/notes.txt", f"{'0' * 16}/160.webp.old")
    names = [f"{root}/{name}" for name in others]
    for name in names:
        await clients().container("thumbnails").upload_blob(name, b"x")
    await clean_up()
    assert [await clients().container("thumbnails").get_blob_client(name).exists() for name in names] == [True] * 4


async def test_a_container_that_is_missing_is_no_reason_to_erase(later, monkeypatch):
    root = uuid4().hex
    old = await version(f"{root}/cat.jpg")
    monkeypatch.setattr(old_thumbnails, "PHOTOS", "no-such-container")
    with pytest.raises(ResourceNotFoundError):
        await clean_up()
    assert await left(root) == {old}


async def test_the_photo_of_a_thumbnail():
    assert photo_of(folder("a/b", '"etag"') + "640.jpeg") == "a/b"
    assert photo_of(folder("a\nb", '"etag"') + MANIFEST) == "a\nb"
    assert photo_of(folder("a", '"etag"') + "640.gif") is None
