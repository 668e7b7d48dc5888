"""Receipts: one version goes to one function once, whoever looks, whatever fails in between."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from devhost.listeners.blob_receipts import HOSTS_CONTAINER, BlobReceipts, Handed
from devhost.storage.errors import StorageError, StorageUnavailableError
from tests.unit.devhost.listeners.fake_blobs import FakeBlobs

pytestmark = pytest.mark.anyio

WORK = "Host.Functions.work"


@pytest.fixture
def blobs():
    service = FakeBlobs()
    service.containers[HOSTS_CONTAINER] = {}
    return service


@pytest.fixture
def version(blobs):
    return blobs.put("inbox", "a.txt")


class Enqueue:
    def __init__(self) -> None:
        self.calls = 0
        self.fault: Exception | None = None

    async def __call__(self) -> None:
        await asyncio.sleep(0)
        if self.fault:
            raise self.fault
        self.calls += 1


async def test_a_new_version_takes_two_requests_beside_its_message(blobs, version):
    enqueue = Enqueue()
    assert await BlobReceipts(blobs, "h").hand_over(version, WORK, enqueue) is Handed.NOW
    assert (blobs.requests, enqueue.calls) == (["write", "clear"], 1)


async def test_the_same_version_is_never_handed_over_again_but_a_new_one_and_another_function_are(blobs, version):
    enqueue, one, two = Enqueue(), BlobReceipts(blobs, "h"), BlobReceipts(blobs, "h")
    await one.hand_over(version, WORK, enqueue)
    assert [await host.hand_over(version, WORK, enqueue) for host in (one, two)] == [Handed.BEFORE] * 2
    assert await two.hand_over(version, "Host.Functions.other", enqueue) is Handed.NOW
    assert await two.hand_over(blobs.put("inbox", "a.txt"), WORK, enqueue) is Handed.NOW
    assert enqueue.calls == 3


async def test_hosts_that_look_at_the_same_moment_hand_it_over_once(blobs, version):
    enqueue = Enqueue()
    hosts = [BlobReceipts(blobs, "h") for _ in range(5)]
    results = await asyncio.gather(*(host.hand_over(version, WORK, enqueue) for host in hosts))
    assert (enqueue.calls, results.count(Handed.NOW)) == (1, 1)


async def test_what_a_host_left_open_is_taken_over_after_half_a_minute_and_by_one_host(blobs, version):
    dead, enqueue = Enqueue(), Enqueue()
    dead.fault = RuntimeError("killed")
    with pytest.raises(RuntimeError):
        await BlobReceipts(blobs, "h").hand_over(version, WORK, dead)
    others = [BlobReceipts(blobs, "h") for _ in range(3)]
    blobs.now += timedelta(seconds=29)
    assert await others[0].hand_over(version, WORK, enqueue) is Handed.ELSEWHERE
    blobs.now += timedelta(seconds=1)
    results = await asyncio.gather(*(host.hand_over(version, WORK, enqueue) for host in others))
    assert (enqueue.calls, results.count(Handed.NOW)) == (1, 1)


async def test_the_host_that_left_it_open_may_go_on_at_once(blobs, version):
    receipts, enqueue = BlobReceipts(blobs, "h"), Enqueue()
    enqueue.fault = StorageUnavailableError("away")
    with pytest.raises(StorageUnavailableError):
        await receipts.hand_over(version, WORK, enqueue)
    enqueue.fault = None
    assert await receipts.hand_over(version, WORK, enqueue) is Handed.NOW
    assert enqueue.calls == 1


async def test_what_was_handed_over_and_could_not_be_noted_is_only_noted_later(blobs, version):
    receipts, enqueue = BlobReceipts(blobs, "h"), Enqueue()

    async def enqueue_and_lose_storage():
        await enqueue()
        blobs.fault = StorageUnavailableError("away")

    with pytest.raises(StorageUnavailableError):
        await receipts.hand_over(version, WORK, enqueue_and_lose_storage)
    blobs.fault = None
    assert await receipts.hand_over(version, WORK, enqueue) is Handed.NOW
    assert await BlobReceipts(blobs, "h").hand_over(version, WORK, enqueue) is Handed.BEFORE
    assert enqueue.calls == 1


async def test_the_container_is_made_when_it_is_missing(version):
    blobs = FakeBlobs()
    assert await BlobReceipts(blobs, "h").hand_over(version, WORK, Enqueue()) is Handed.NOW
    assert HOSTS_CONTAINER in blobs.containers


async def test_a_refusal_is_not_taken_for_another_host(blobs, version):
    blobs.fault = StorageError(403, "AuthenticationFailed", "")
    with pytest.raises(StorageError, match="403"):
        await BlobReceipts(blobs, "h").hand_over(version, WORK, Enqueue())


def test_a_receipts_name_is_that_of_the_real_host(blobs, version):
    name = BlobReceipts(blobs, "h").name(version, WORK)
    assert name == f"blobreceipts/h/{WORK}/{version.etag}/inbox/a.txt"
