"""Uploads: one version of a blob is one job, whoever tells of it and however often."""

from __future__ import annotations

import json
from uuid import uuid4

import pytest
from pydantic import ValidationError

from jobs import bodies, claim_check, ledger, replay, results, uploads
from jobs.clients import CONTAINERS, clients
from jobs.inputs import PhotoInput
from jobs.job import open_envelope, parse
from jobs.settings import settings

pytestmark = [pytest.mark.anyio]


async def put(name: str, content: bytes = b"photo", **more) -> str:
    """Upload a blob, and return its ETag."""
    uploaded = await clients().container("photos").upload_blob(name, content, overwrite=True, **more)
    return (await uploaded.get_blob_properties()).etag


async def test_a_version_is_a_job_and_the_same_one_each_time(storage, durable):
    name = f"{uuid4().hex}/cat.jpg"
    etag = await put(name)
    for _ in range(3):
        await uploads.take("photos", name, durable)
    assert durable.starts == 1
    entry = await ledger.get("photo", uploads.message("photos", name, etag)["id"])
    assert entry.job.source == f"blob:photos/{name}"
    assert durable.started[entry.job.instance_id]["input"] == {"name": name, "etag": etag}
    blob = await clients().container("photos").get_blob_client(name).get_blob_properties()
    assert entry.job.submitted_at == ledger.written(blob.last_modified)


async def test_the_same_bytes_once_more_are_another_version(storage, durable):
    name = uuid4().hex
    for _ in range(2):
        await put(name)
        await uploads.take("photos", name, durable)
    assert durable.starts == 2


async def test_each_container_has_its_kind(storage, durable):
    name = uuid4().hex
    await clients().container("order-imports").upload_blob(name, b"a,b")
    await uploads.take("order-imports", name, durable)
    [instance] = durable.started
    assert instance.startswith("order-import-")


async def test_a_blob_that_is_gone_is_no_job(storage, durable, caplog):
    name = uuid4().hex
    with caplog.at_level("INFO", "nightshift"):
        await uploads.take("photos", name, durable)
    assert durable.starts == 0
    [line] = [json.loads(record.message) for record in caplog.records if "UploadIgnored" in record.message]
    assert line["source"] == f"blob:photos/{name}"


async def test_a_name_that_no_job_can_have_is_buried_at_once(bus, durable):
    name = f"{uuid4().hex}\u2028cat.jpg"
    await put(name)
    for _ in range(2):
        await uploads.take("photos", name, durable)
    [dead] = bus.letters(source=f"blob:photos/{name}")
    assert dead.dead_letter_reason == "InvalidInput"
    assert durable.starts == 0


@pytest.mark.parametrize("container", uploads.KINDS)
def test_a_message_is_a_job_whoever_wrote_the_etag(container):
    message = uploads.message(container, "a/b c.jpg", '"0x8D"')
    assert message == uploads.message(container, "a/b c.jpg", "0x8D")
    job = parse(open_envelope(message))
    assert (job.kind.name, job.id) == (uploads.KINDS[container], message["id"])
    assert len(message["id"]) == 32


def test_names_containers_and_versions_make_different_jobs():
    places = [("photos", "a", "1"), ("photos", "a", "2"), ("photos", "b", "1"), ("order-imports", "a", "1")]
    assert len({uploads.message(*place)["id"] for place in places}) == 4


@pytest.mark.parametrize("name", ["../claims/order/A-1", "a/../../claims/x", "./a", "a/.", "", "a\nb", "x" * 1025])
def test_names_that_lead_elsewhere_are_refused(name):
    with pytest.raises(ValidationError):
        PhotoInput(name=name, etag='"0x1"')


@pytest.mark.parametrize("name", ["a", "a/b.jpg", "..a/b..", "a b+%&#?.jpg", "ä/猫.jpg", "x" * 1024])
def test_other_names_are_taken(name):
    assert PhotoInput(name=name, etag='"0x1"').name == name


def test_what_the_app_writes_is_no_upload_so_no_job_feeds_itself():
    others = {claim_check.CONTAINER, bodies.CONTAINER, *results.LINKED_CONTAINERS}
    assert set(uploads.KINDS) | others == set(CONTAINERS)
    assert not set(uploads.KINDS) & others


async def test_a_blob_may_say_where_the_outcome_of_its_job_is_told(durable, bus, monkeypatch):
    monkeypatch.setenv("AzureWebJobsServiceBus", "Endpoint=sb://127.0.0.1:1;UseDevelopmentEmulator=true;")
    monkeypatch.setenv("WEBHOOK_SECRET", "whsec_Zm9yIHRlc3RzIG9ubHkgYW5kIG5vYm9keQ==")
    settings.cache_clear()
    name, wrong = uuid4().hex, uuid4().hex
    asked = {"callbackUrl": "https://x.example/?token=t", "replyTo": "replies"}
    etag = await put(name, metadata=asked)
    await put(wrong, metadata={"callbackUrl": "https://10.0.0.1/?token=t"})
    for each in (name, wrong):
        await uploads.take("photos", each, durable)
    entry = await ledger.get("photo", uploads.message("photos", name, etag)["id"])
    assert (entry.callback_url, entry.job.reply_to) == (asked["callbackUrl"], "replies")
    [letter] = bus.letters(source=f"blob:photos/{wrong}")
    assert letter.dead_letter_reason == "InvalidInput"
    assert "token" not in str(durable.started) + str(letter)

    # What is replayed asks for the same.
    await clients().container("photos").get_blob_client(wrong).set_blob_metadata(asked)
    [outcome] = [each async for each in replay.replay([f"poison-jobs-{letter.sequence_number}"])]
    assert outcome.error is None
    blob = await clients().container("photos").get_blob_client(wrong).get_blob_properties()
    again = await ledger.get("photo", uploads.message("photos", wrong, blob.etag)["id"])
    assert (again.callback_url, again.state) == (asked["callbackUrl"], "Pending")
    [message] = [each async for each in clients().queue("jobs").receive_messages() if again.job.id in each.content]
    assert "token" not in message.content
    await clients().queue("jobs").clear_messages()
