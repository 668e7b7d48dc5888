"""Results that are too large for a status: a link that lets its holder read this one result, for a while.

No kind of job has such a result yet, so here a job of the kind `analytics` is ended with one, by the step that ends
every order.
"""

from __future__ import annotations

import io
import sys
from dataclasses import asdict, replace
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from azure.storage.blob import BlobClient
from PIL import Image

from tests.integration.jobs_seen import fresh

LARGE = {"text": "x" * 40_000}


@pytest.fixture
def ended(jobs):
    """Ends a job with a result, and returns its status as HTTP tells it."""

    def end(result) -> dict:
        id = fresh("result")
        jobs.shop.call(_end, id, result)
        return jobs.ended(id, "analytics")

    return end


async def _end(id: str, result) -> None:
    # The app's own modules, as the host has loaded them.
    ledger, call, closing = (sys.modules[name] for name in ("jobs.ledger", "jobs.call", "activities.closing"))
    entry, _ = await ledger.submit(ledger.JobRef("analytics", id, "correlation", ledger.now()), "digest")
    run = await ledger.begin(entry.job, runner="test")
    await closing.end(call.Call(entry.job, "end_job", {"state": "Completed", "run": asdict(run), "result": result}))


@pytest.fixture
def lifetime(shop, monkeypatch):
    """Sets how many seconds links live."""
    module = sys.modules["jobs.results"]
    settings = module.settings

    def live(seconds: float) -> None:
        monkeypatch.setattr(module, "settings", lambda: replace(settings(), result_url_lifetime=seconds))

    return live


def test_a_small_result_is_in_the_status(ended):
    status = ended({"text": "x" * 30_000})
    assert status["result"] == {"text": "x" * 30_000} and "resultUrl" not in status


def test_a_large_one_is_behind_a_link(ended, jobs):
    status = ended(LARGE)
    assert "result" not in status
    download = httpx.get(status["resultUrl"])
    assert (download.status_code, download.headers["content-type"]) == (200, "application/json")
    assert download.json() == LARGE
    listed = jobs.shop.get("/api/jobs", params={"kind": "analytics", "since": status["submittedAt"]}).json()["jobs"]
    (found,) = (job for job in listed if job["id"] == status["id"])
    assert httpx.get(found["resultUrl"]).json() == LARGE


def test_the_link_gives_no_other_right(ended):
    url = ended(LARGE)["resultUrl"]
    address, _, token = url.partition("?")
    assert httpx.get(address).status_code in (403, 404)
    other = address.rpartition("/")[0] + "/other.json"
    assert httpx.get(f"{other}?{token}").status_code == 403
    assert httpx.put(url, content=b"{}", headers={"x-ms-blob-type": "BlockBlob"}).status_code == 403
    assert httpx.delete(url).status_code == 403
    assert httpx.get(url).json() == LARGE


def test_the_link_expires(ended, lifetime):
    lifetime(-60)
    expired = ended(LARGE)["resultUrl"]
    assert httpx.get(expired).status_code == 403
    lifetime(60)
    later = parse_qs(urlsplit(ended(LARGE)["resultUrl"]).query)["se"]
    forged = httpx.URL(expired).copy_merge_params({"se": later[0]})
    assert httpx.get(forged).status_code == 403


def test_each_look_at_the_status_gives_a_link_that_works(ended, jobs, lifetime):
    lifetime(-60)
    id = ended(LARGE)["id"]
    lifetime(60)
    assert httpx.get(jobs.status(id, "analytics")["resultUrl"]).json() == LARGE


def test_the_files_that_a_job_made_are_behind_links(jobs, shop):
    name, picture = f"{fresh('folder')}/blue mug, 50% #1?.png", io.BytesIO()
    Image.new("RGB", (40, 30), "navy").save(picture, "PNG")
    with BlobClient.from_connection_string(jobs.storage, "photos", name) as photo:
        etag = photo.upload_blob(picture.getvalue())["etag"]
    id = shop.post("/api/jobs/photo", json={"name": name, "etag": etag}).json()["id"]
    shop.drain()
    result = jobs.ended(id, "photo")["result"]
    for file in result["thumbnails"]:
        download = httpx.get(file["url"])
        assert download.headers["content-type"] == f"image/{file['format']}"
        assert Image.open(download).size == (file["width"], file["height"])
    assert httpx.get(result["manifest"]["url"]).json()["photo"]["name"] == name
    assert "/photos/" not in str(result), "what people sent in has no link"
