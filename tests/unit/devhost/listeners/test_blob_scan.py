"""What a scan takes for new, and what it remembers."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta

import pytest

from devhost.listeners.blob_scan import HOSTS_CONTAINER, ContainerScan, Watermark
from tests.unit.devhost.listeners.fake_blobs import START, FakeBlobs

pytestmark = pytest.mark.anyio

STATE = "blobscaninfo/h/account/inbox/scanInfo"


class Scene:
    """A container, its scan, and the names that were examined."""

    def __init__(self) -> None:
        self.blobs = FakeBlobs()
        self.blobs.containers = {"inbox": {}, HOSTS_CONTAINER: {}}
        self.examined: list[str] = []
        self.unsettled: set[str] = set()
        self.scan = self.new_scan()

    def new_scan(self) -> ContainerScan:
        return ContainerScan(self.blobs, "inbox", Watermark(self.blobs, "h", "account", "inbox"), self.examine)

    async def examine(self, version) -> bool:
        self.examined.append(version.name)
        return version.name not in self.unsettled

    async def sweep(self) -> list[str]:
        self.examined.clear()
        found = await self.scan.sweep()
        assert found is bool(self.examined)
        return sorted(self.examined)

    @property
    def saved(self) -> str:
        return json.loads(self.blobs.containers[HOSTS_CONTAINER][STATE].content)["LatestScan"]


@pytest.fixture
def scene():
    return Scene()


async def test_without_a_state_all_blobs_are_new_and_then_only_changes(scene):
    scene.blobs.put("inbox", "old", age=timedelta(days=300))
    scene.blobs.put("inbox", "new")
    assert await scene.sweep() == ["new", "old"]
    assert await scene.sweep() == []
    scene.blobs.put("inbox", "old")
    assert await scene.sweep() == ["old"]


async def test_a_blob_whose_upload_began_long_before_others_ended_is_found(scene):
    scene.blobs.put("inbox", "quick")
    await scene.sweep()
    scene.blobs.put("inbox", "slow", age=timedelta(minutes=5))
    assert await scene.sweep() == ["slow"]


async def test_a_sweep_without_news_is_one_request(scene):
    scene.blobs.put("inbox", "a")
    await scene.sweep()
    scene.blobs.requests.clear()
    await scene.sweep()
    assert scene.blobs.requests == ["list"]


async def test_the_next_scan_begins_a_minute_before_the_newest_blob(scene):
    scene.blobs.put("inbox", "newest")
    await scene.sweep()
    assert scene.saved == "2026-11-22T09:59:59.999000Z"
    for seconds in (59, 61):
        scene.blobs.put("inbox", f"{seconds} s before", age=timedelta(seconds=seconds))
    scene.scan = scene.new_scan()
    assert await scene.sweep() == ["59 s before", "newest"]
    assert await scene.sweep() == []


async def test_what_is_not_settled_is_looked_at_again_and_holds_the_watermark_back(scene):
    scene.blobs.put("inbox", "left", age=timedelta(hours=1))
    scene.blobs.put("inbox", "done")
    scene.unsettled = {"left"}
    assert await scene.sweep() == ["done", "left"]
    assert scene.saved == "2026-11-22T08:59:59.999000Z"
    scene.unsettled = set()
    assert await scene.sweep() == ["left"]
    assert scene.saved == f"{START - timedelta(milliseconds=1):%Y-%m-%dT%H:%M:%S.%f}Z"


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b'{"LatestScan": "yesterday"}', b'{"LatestScan": null}', b"[" * 100_000,
     b'{"LatestScan": "0001-01-01T00:00:00Z"}', b'{"LatestScan": "9999-12-31T23:59:59-10:00"}'],
)  # fmt: skip
async def test_a_state_that_cannot_be_read_counts_as_none(scene, content, caplog):
    scene.blobs.put(HOSTS_CONTAINER, STATE, content)
    scene.blobs.put("inbox", "a", age=timedelta(days=1))
    assert await scene.sweep() == ["a"]
    assert "cannot be read" in caplog.text


async def test_the_container_may_come_later(scene):
    del scene.blobs.containers["inbox"]
    assert await scene.sweep() == []
    scene.blobs.put("inbox", "a")
    assert await scene.sweep() == ["a"]


async def test_a_fault_with_one_blob_lets_the_others_end_and_it_alone_is_looked_at_again(scene, monkeypatch):
    monkeypatch.setattr("devhost.listeners.blob_scan._STAGE", 2)
    for number, name in enumerate(("bad", "b", "c", "d")):
        scene.blobs.put("inbox", name, age=timedelta(hours=4 - number))
    examine, failing = scene.examine, True

    async def fail(version):
        settled = await examine(version)
        if version.name == "bad" and failing:
            raise ValueError("no")
        return settled

    scene.scan = ContainerScan(scene.blobs, "inbox", Watermark(scene.blobs, "h", "account", "inbox"), fail)
    with pytest.raises(ValueError, match="no"):
        await scene.scan.sweep()
    assert scene.examined == ["bad", "b", "c", "d"]
    assert scene.saved == "2026-11-22T05:59:59.999000Z"
    failing = False
    assert await scene.sweep() == ["bad"]
    assert scene.saved == "2026-11-22T08:59:59.999000Z"


async def test_a_scan_that_was_killed_has_noted_how_far_it_came(scene, monkeypatch):
    monkeypatch.setattr("devhost.listeners.blob_scan._STAGE", 2)
    for number in range(6):
        scene.blobs.put("inbox", f"{number}", age=timedelta(hours=6 - number))

    killed = asyncio.Event()

    async def be_killed(version):
        if version.name == "4":
            killed.set()
            await asyncio.Event().wait()
        return await scene.examine(version)

    scene.scan = ContainerScan(scene.blobs, "inbox", Watermark(scene.blobs, "h", "account", "inbox"), be_killed)
    sweep = asyncio.create_task(scene.scan.sweep())
    await killed.wait()
    sweep.cancel()
    await asyncio.wait({sweep})
    scene.scan = scene.new_scan()
    assert await scene.sweep() == ["3", "4", "5"]
