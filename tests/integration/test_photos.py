"""Photos dropped into their container: sixty in every shape at once, new versions, and files that mean harm."""

from __future__ import annotations

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from hashlib import sha256
from typing import Any

import pytest
from azure.storage.blob import BlobServiceClient

from jobs import uploads
from samples.photos.sample_set import PLACE, Sample, sample_set
from tests.conftest import WITH_BLOBS
from tests.integration.jobs_seen import Jobs, fresh
from tests.pictures import HOSTILE, check_thumbnail, expected_size

SIZES, FORMATS = (1280, 640, 160), ("webp", "jpeg")


class Photos:
    """A folder of the container `photos` that no other test uses."""

    def __init__(self, jobs: Jobs) -> None:
        self.jobs = jobs
        self.folder = fresh("folder")
        self._service = BlobServiceClient.from_connection_string(jobs.storage)

    def drop(self, contents: dict[str, bytes]) -> dict[str, str]:
        """Upload photos at the same time. Returns their ETags."""

        def upload(name: str) -> str:
            blob = self._service.get_blob_client("photos", f"{self.folder}/{name}")
            return blob.upload_blob(contents[name], overwrite=True)["etag"]

        with ThreadPoolExecutor(8) as threads:
            return dict(zip(contents, threads.map(upload, contents), strict=True))

    def ended(self, name: str, etag: str) -> dict[str, Any]:
        """The status of the job for a version, which must have ended."""
        return self.jobs.ended(uploads.message("photos", f"{self.folder}/{name}", etag)["id"], kind="photo")

    def thumbnails(self, name: str = "") -> dict[str, bytes]:
        """What lies in the container `thumbnails` for a photo, or for all of the folder."""
        return self.jobs.blobs("thumbnails", f"{self.folder}/{name}")

    def close(self) -> None:
        self._service.close()


@pytest.fixture
def shop(open_shop, azurite):
    """A shop that takes files, and finds none that other tests have left."""
    with BlobServiceClient.from_connection_string(azurite.connection_string) as service:
        for name in uploads.KINDS:
            container = service.get_container_client(name)
            for blob in list(container.list_blob_names()) if container.exists() else ():
                container.delete_blob(blob)
    return open_shop(**WITH_BLOBS)


@pytest.fixture
def photos(jobs):
    found = Photos(jobs)
    yield found
    found.close()


@lru_cache
def samples() -> dict[str, Sample]:
    # One of them has 24 megapixels and is made smaller in every size; the others are for the smallest only.
    return {sample.name: sample for sample in sample_set(320)}


def test_sixty_photos_dropped_at_once_become_thumbnails(photos, shop, jobs, bus):
    etags = photos.drop({name: sample.content for name, sample in samples().items()})
    shop.drain()

    blobs = photos.thumbnails()
    assert len(blobs) == 60 * 7
    with ThreadPoolExecutor() as threads:
        list(threads.map(lambda name: check_photo(photos, samples()[name], etags[name], blobs), samples()))
    assert jobs.runs()["take_photo"] == 60
    assert jobs.runs()["make_thumbnails"] == 180
    assert bus.dead() == []
    assert not any(PLACE.encode() in content for content in blobs.values())

    before = Counter(jobs.runs())
    shop.advance(hours=1)
    assert jobs.runs()["take_photo"] == before["take_photo"], "what has not changed is left alone"


def check_photo(photos: Photos, sample: Sample, etag: str, blobs: dict[str, bytes]) -> None:
    """Assert that the job's result, the manifest and the files agree, and show the photo."""
    status = photos.ended(sample.name, etag)
    assert status["status"] == "Completed", status
    result = status["result"]
    assert "incomplete" not in result
    photo = result["photo"]
    assert (photo["name"], photo["etag"]) == (f"{photos.folder}/{sample.name}", etag)
    assert photo["bytes"] == len(sample.content)
    assert sorted((photo["width"], photo["height"])) == sorted(sample.shown.size)
    manifest = blobs[result["manifest"]["blob"].removeprefix("thumbnails/")]
    assert json.loads(manifest) == without_links({"photo": photo, "thumbnails": result["thumbnails"]})
    found = [(file["size"], file["format"]) for file in result["thumbnails"]]
    assert found == [(size, format) for size in SIZES for format in FORMATS]
    for file in result["thumbnails"]:
        content = blobs[file["blob"].removeprefix("thumbnails/")]
        assert (len(content), sha256(content).hexdigest()) == (file["bytes"], file["sha256"])
        assert (file["width"], file["height"]) == expected_size(sample, file["size"])
        check_thumbnail(sample, content, file["format"], file["size"])


def without_links(value: Any) -> Any:
    """The value without the links that a status adds."""
    if isinstance(value, dict):
        return {key: without_links(each) for key, each in value.items() if key != "url"}
    return [without_links(each) for each in value] if isinstance(value, list) else value


def test_the_same_bytes_once_more_are_a_new_version(photos, shop, jobs):
    tiny = samples()["tiny.jpg"].content
    first = photos.drop({"a.jpg": tiny})["a.jpg"]
    shop.drain()
    second = photos.drop({"a.jpg": tiny})["a.jpg"]
    shop.drain()
    assert first != second
    assert jobs.runs()["take_photo"] == 2
    assert [photos.ended("a.jpg", etag)["status"] for etag in (first, second)] == ["Completed", "Completed"]
    assert len(photos.thumbnails("a.jpg/")) == 14


def test_whoever_tells_of_a_version_it_is_one_job(photos, shop, jobs):
    etag = photos.drop({"a.jpg": samples()["tiny.jpg"].content})["a.jpg"]
    message = uploads.message("photos", f"{photos.folder}/a.jpg", etag)
    jobs.put(json.dumps(message))
    again = jobs.submit(message["id"], message["input"], kind="photo")
    shop.drain()
    assert again.status_code in (200, 202)
    assert photos.ended("a.jpg", etag)["status"] == "Completed"
    assert jobs.runs()["inspect_photo"] == 1


def test_files_that_mean_harm_are_dead_letters_and_the_good_one_among_them_is_not(photos, shop, bus):
    chosen = [name for number, name in enumerate(HOSTILE) if number % 3 == 0]
    contents = {f"{name}.jpg": HOSTILE[name][1]() for name in chosen}
    etags = photos.drop({**contents, "good.jpg": samples()["tiny.jpg"].content})
    shop.drain()

    assert photos.ended("good.jpg", etags["good.jpg"])["status"] == "Completed"
    letters = {dead.source: dead for dead in bus.dead()}
    assert len(letters) == len(bus.dead()) == len(chosen) >= 12
    for name in chosen:
        reason = HOSTILE[name][0]
        status = photos.ended(f"{name}.jpg", etags[f"{name}.jpg"])
        assert (status["status"], status["error"]["type"]) == ("Failed", reason)
        assert status["error"]["retryable"] is False
        letter = letters[f"blob:photos/{photos.folder}/{name}.jpg"]
        assert (letter.reason, letter.properties["kind"]) == (reason, "photo")
        assert letter.properties["attempts"] == 1
    assert {name.split("/")[1] for name in photos.thumbnails()} == {"good.jpg"}


def test_a_photo_that_was_mended_is_a_new_job_and_the_replay_of_the_old_one_says_that_it_changed(photos, shop, bus):
    good = samples()["tiny.jpg"].content
    bad = photos.drop({"a.jpg": good[:-200]})["a.jpg"]
    shop.drain()
    assert photos.ended("a.jpg", bad)["error"]["type"] == "PhotoDamaged"
    mended = photos.drop({"a.jpg": good})["a.jpg"]
    shop.drain()
    assert photos.ended("a.jpg", mended)["status"] == "Completed"
    [letter] = shop.get("/api/dead-letters").json()["deadLetters"]
    shop.post(f"/api/dead-letters/{letter['id']}/replay").raise_for_status()
    shop.drain()
    assert photos.ended("a.jpg", bad)["error"]["type"] == "BlobChanged"


def test_a_photo_by_http_that_is_not_there(shop, jobs):
    id = fresh("photo")
    jobs.submit(id, {"name": "nowhere.jpg", "etag": '"0x1"'}, kind="photo")
    shop.drain()
    assert jobs.ended(id, kind="photo")["error"]["type"] == "BlobChanged"
    outside = jobs.submit(fresh("photo"), {"name": "../claims/order/A-1", "etag": '"0x1"'}, kind="photo")
    assert (outside.status_code, outside.json()["errors"][0]["field"]) == (400, "name")
