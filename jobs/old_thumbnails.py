"""Thumbnails of photos that are gone, and of versions that another one has replaced, past their age.

Those of the version that a photo has are a product: they stay as long as the photo does.
"""

from __future__ import annotations

from collections import defaultdict

from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob import BlobProperties

from jobs import uploads
from jobs.ages import Ages
from jobs.clients import clients
from jobs.erasing import Eraser, for_each
from jobs.old_files import page_of
from jobs.thumbnails import MANIFEST, PHOTOS, THUMBNAILS, folder, photo_of


async def erase(eraser: Eraser, ages: Ages, continuation: str | None) -> str | None:
    """Erase one page of thumbnails and manifests. Returns where to go on, None at the end."""
    blobs, token = await page_of(clients().container(THUMBNAILS), "", continuation)
    by_photo: dict[str, list[BlobProperties]] = defaultdict(list)
    for blob in blobs:
        if blob.last_modified < ages.finished and (photo := photo_of(blob.name)):
            by_photo[photo].append(blob)

    async def erase_some(photo: str) -> None:
        needed = await _folder_needed(photo)
        old = [blob for blob in by_photo[photo] if needed is None or not blob.name.startswith(needed)]
        if old and (needed is None or await _is_shown(needed, ages)):
            for blob in old:
                await eraser.blob("thumbnails", THUMBNAILS, blob.name, blob.etag)

    await for_each(by_photo, erase_some)
    return token


async def _folder_needed(photo: str) -> str | None:
    """Where the thumbnails are of the version that the photo has now; None when there is no such photo any more."""
    try:
        found = await clients().container(PHOTOS).get_blob_client(photo).get_blob_properties()
    except ResourceNotFoundError as error:
        if error.error_code == "BlobNotFound":
            return None
        # Without the container all photos would seem to be gone.
        raise
    return folder(photo, uploads.message(PHOTOS, photo, found.etag)["input"]["etag"])


async def _is_shown(needed: str, ages: Ages) -> bool:
    """Whether the thumbnails of a version have been there so long that nothing shows those before them."""
    try:
        manifest = await clients().container(THUMBNAILS).get_blob_client(needed + MANIFEST).get_blob_properties()
    except ResourceNotFoundError:
        return False
    return manifest.last_modified < ages.finished
