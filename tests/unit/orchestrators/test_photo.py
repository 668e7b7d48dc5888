"""A photo's job from submission to end: what fails of it does not spoil the rest; what is no photo ends it at once."""

from __future__ import annotations

import json
from functools import partial
from uuid import uuid4

import pytest
from PIL import Image

from activities import closing, photos
from jobs import intake, ledger
from jobs.call import outcome
from jobs.clients import clients
from jobs.errors import BlobChangedError, PermanentError, TransientError
from jobs.job import Envelope, parse
from orchestrators.photo import SIZES, shrink
from tests.pictures import saved
from tests.unit.orchestrators.engine import Engine

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("bus")]

PHOTO = saved(Image.new("RGB", (2000, 1000), "red"), "JPEG")


class DarkroomError(PermanentError):
    """Something that only happens to some sizes."""


class Darkroom:
    """One photo, and a job that makes its thumbnails."""

    def __init__(self, durable):
        self.durable, self.id, self.name = durable, uuid4().hex, f"{uuid4().hex}.jpg"
        self.failing: dict[int, list[Exception]] = {}
        """By size: what the first tries raise."""

    async def develop(self, content: bytes = PHOTO, events: dict[str, str] | None = None) -> ledger.Entry:
        uploaded = await clients().container("photos").upload_blob(self.name, content)
        etag = (await uploaded.get_blob_properties()).etag
        job = parse(Envelope(kind="photo", id=self.id, input={"name": self.name, "etag": etag}))
        await intake.submit(job, self.durable)
        works = {"inspect_photo": photos.inspect, "make_thumbnails": self._shrink}
        works |= {"write_manifest": photos.list_thumbnails, "end_job": closing.end}
        activities = {name: partial(outcome, work) for name, work in works.items()}
        self.engine = Engine(shrink, self.durable.started[f"photo-{self.id}"], activities)
        self.engine.events = events or {}
        await self.engine.run(f"photo-{self.id}")
        return await ledger.get("photo", self.id)

    async def _shrink(self, call):
        if errors := self.failing.get(call.input["size"]):
            raise errors.pop(0)
        return await photos.shrink(call)

    async def files(self) -> set[str]:
        names = clients().container("thumbnails").list_blob_names(name_starts_with=f"{self.name}/")
        return {name.rpartition("/")[2] async for name in names}

    def calls(self) -> list[str]:
        return [name for name, _ in self.engine.calls]


@pytest.fixture
def darkroom(durable) -> Darkroom:
    return Darkroom(durable)


ALL = {f"{size}.{format}" for size in SIZES for format in ("webp", "jpeg")} | {"manifest.json"}


async def test_all_sizes_and_a_manifest(darkroom):
    entry = await darkroom.develop()
    assert entry.state == ledger.COMPLETED
    assert await darkroom.files() == ALL
    assert [file["size"] for file in entry.result["thumbnails"]] == [1280, 1280, 640, 640, 160, 160]
    assert "incomplete" not in entry.result
    manifest = entry.result.pop("manifest")["blob"].removeprefix("thumbnails/")
    content = await (await clients().container("thumbnails").download_blob(manifest)).readall()
    assert json.loads(content) == entry.result
    steps = [arguments["step"] for name, arguments in darkroom.engine.calls if name == "make_thumbnails"]
    assert len(set(steps)) == 3
    percents = [status["percent"] for status in darkroom.engine.statuses]
    assert percents == sorted(percents) and percents[-1] == 66


async def test_a_size_that_fails_leaves_the_others(darkroom):
    darkroom.failing = {640: [DarkroomError("the 640 is spoilt")]}
    entry = await darkroom.develop()
    assert entry.state == ledger.COMPLETED
    assert entry.result["incomplete"] == {"640": {"type": "Darkroom", "message": "the 640 is spoilt"}}
    assert await darkroom.files() == {name for name in ALL if "640" not in name}
    assert {file["size"] for file in entry.result["thumbnails"]} == {1280, 160}


async def test_what_may_pass_is_tried_again(darkroom):
    darkroom.failing = {640: [TransientError("busy"), TransientError("busy")]}
    entry = await darkroom.develop()
    assert "incomplete" not in entry.result
    assert darkroom.calls().count("make_thumbnails") == 5


async def test_no_size_at_all_is_a_failure(darkroom):
    darkroom.failing = {size: [DarkroomError("spoilt")] for size in SIZES}
    entry = await darkroom.develop()
    assert (entry.state, entry.error["type"]) == (ledger.FAILED, "Darkroom")
    assert entry.is_buried
    assert await darkroom.files() == set()


async def test_a_photo_that_was_replaced_meanwhile_is_not_half_done(darkroom):
    darkroom.failing = {160: [BlobChangedError("replaced")]}
    entry = await darkroom.develop()
    assert (entry.state, entry.error["type"]) == (ledger.FAILED, "BlobChanged")
    assert "manifest.json" not in await darkroom.files()


@pytest.mark.parametrize(
    ("content", "error", "calls"),
    [
        (b"no photo", "NotAPhoto", ["inspect_photo", "end_job"]),
        (PHOTO[:-100], "PhotoDamaged", ["inspect_photo", *["make_thumbnails"] * 3, "end_job"]),
    ],
)
async def test_what_is_no_photo_ends_at_once(darkroom, bus, content, error, calls):
    entry = await darkroom.develop(content)
    assert (entry.state, entry.error["type"], entry.error["retryable"]) == (ledger.FAILED, error, False)
    assert darkroom.calls() == calls
    assert darkroom.engine.pauses == []
    assert [dead.dead_letter_reason for dead in bus.queues["poison-jobs"].dead] == [error]


async def test_a_job_can_be_cancelled_while_sizes_are_made(darkroom):
    entry = await darkroom.develop(events={"make_thumbnails": "cancel"})
    assert entry.state == ledger.CANCELLED
