"""Photos: from the container `photos`, thumbnails into the container `thumbnails`, and a manifest of them."""

import asyncio
import os
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from hashlib import sha256
from typing import Any
from weakref import WeakKeyDictionary

import azure.durable_functions as df
from azure.storage.blob import ContentSettings

from activities import images
from activities.budget import Budget
from jobs import strict_json, thumbnails, uploads
from jobs.call import Call, outcome
from jobs.clients import clients
from jobs.errors import PermanentError
from jobs.thumbnails import PHOTOS, THUMBNAILS

blueprint = df.Blueprint()

LONGEST_NAME = 980
"""Characters. A blob's name takes 1024, and those of the thumbnails are longer than the photo's."""
RECENT = 8
"""So many prepared photos are kept, each 7 MB or less: the sizes of one photo come shortly after one another."""
MEMORY = 512_000_000
"""Bytes that all photos take together while they are decoded. One that takes more is decoded alone."""

_processors = os.cpu_count() or 1
_threads = ThreadPoolExecutor(_processors, "photos")
"""Pillow works without the interpreter's lock, so threads use every processor, and the event loop stays free."""


class PhotoNameError(PermanentError):
    """The photo's name leaves no room for those of its thumbnails."""


@blueprint.activity_trigger(input_name="call")
async def inspect_photo(call: dict) -> dict:
    return await outcome(inspect, call)


@blueprint.activity_trigger(input_name="call")
async def make_thumbnails(call: dict) -> dict:
    return await outcome(shrink, call)


@blueprint.activity_trigger(input_name="call")
async def write_manifest(call: dict) -> dict:
    return await outcome(list_thumbnails, call)


async def inspect(call: Call) -> dict[str, Any]:
    """See whether it is a photo that can be taken. Input: `name`, `etag`. Returns what its header says, and `bytes`.

    Raises NotAPhotoError, PhotoTooLargeError, PhotoDamagedError, PhotoNameError, BlobChangedError.
    """
    name, etag = call.input["name"], call.input["etag"]
    if len(name) > LONGEST_NAME:
        raise PhotoNameError(f"the name has {len(name)} characters, and {LONGEST_NAME} at most are taken: shorten it")
    with uploads.unchanged(PHOTOS, name):
        found = await clients().container(PHOTOS).get_blob_client(name).get_blob_properties(**uploads.only(etag))
    images.check_length(found.size)
    async with _workshop().turns:
        facts = await _in_thread(images.inspect, await _read(name, etag))
    return {"name": name, "etag": etag, "bytes": found.size, **asdict(facts)}


async def shrink(call: Call) -> list[dict[str, Any]]:
    """Make the thumbnails of one size. Input: `name`, `etag`, `size`. Returns what each file is, and its `blob`.

    Raises what `inspect` raises.
    """
    name, etag, size = (call.input[field] for field in ("name", "etag", "size"))
    photo = await _workshop().prepared(name, etag)
    async with _workshop().turns:
        files = await _in_thread(images.thumbnail, photo, size)
    return [await _upload(file, f"{thumbnails.folder(name, etag)}{size}.{file.format}", size) for file in files]


async def list_thumbnails(call: Call) -> dict[str, Any]:
    """Write the manifest: the input, as it is. Returns its `blob`."""
    photo = call.input["photo"]
    blob = f"{thumbnails.folder(photo['name'], photo['etag'])}{thumbnails.MANIFEST}"
    await _put(blob, strict_json.canonical(call.input), "application/json")
    return {"blob": f"{THUMBNAILS}/{blob}"}


async def _upload(file: images.File, blob: str, size: int) -> dict[str, Any]:
    await _put(blob, file.content, f"image/{file.format}")
    return {
        "size": size,
        "format": file.format,
        "width": file.width,
        "height": file.height,
        "bytes": len(file.content),
        "sha256": sha256(file.content).hexdigest(),
        "blob": f"{THUMBNAILS}/{blob}",
    }


async def _put(blob: str, content: bytes, content_type: str) -> None:
    # The name says the version, so what is there never changes: browsers need not ask again.
    settings = ContentSettings(content_type=content_type, cache_control="public, max-age=31536000, immutable")
    await clients().container(THUMBNAILS).upload_blob(blob, content, overwrite=True, content_settings=settings)


async def _read(name: str, etag: str) -> bytes:
    with uploads.unchanged(PHOTOS, name):
        download = await clients().container(PHOTOS).download_blob(name, **uploads.only(etag))
        return await download.readall()


async def _in_thread(work: Any, *arguments: Any) -> Any:
    return await asyncio.get_running_loop().run_in_executor(_threads, work, *arguments)


class _Workshop:
    """What the photos of one event loop share, which keeps the memory that they take within bounds."""

    def __init__(self) -> None:
        self.turns = asyncio.Semaphore(_processors + 2)
        """So many at once: one for each processor, and two that are between storage and here."""
        self._memory = Budget(MEMORY)
        self._recent: OrderedDict[tuple[str, str], asyncio.Task[images.Prepared]] = OrderedDict()

    async def prepared(self, name: str, etag: str) -> images.Prepared:
        """The photo, decoded once for all of its sizes if they are made here and at about the same time."""
        key = name, etag
        task = self._recent.get(key)
        if task is None or task.done() and (task.cancelled() or task.exception()):
            task = self._recent[key] = asyncio.create_task(self._prepare(name, etag))
        self._recent.move_to_end(key)
        while len(self._recent) > RECENT:
            self._recent.popitem(last=False)
        # Whoever asked first may be stopped; the others still want it.
        return await asyncio.shield(task)

    async def _prepare(self, name: str, etag: str) -> images.Prepared:
        async with self.turns:
            content = await _read(name, etag)
            async with self._memory.taken(await _in_thread(images.memory, content)):
                return await _in_thread(images.prepare, content)


_by_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, _Workshop] = WeakKeyDictionary()


def _workshop() -> _Workshop:
    loop = asyncio.get_running_loop()
    try:
        return _by_loop[loop]
    except KeyError:
        return _by_loop.setdefault(loop, _Workshop())
