"""Retention: what is past its age goes with all that belongs to it, and what may still be needed stays."""

from __future__ import annotations

import json
from datetime import timedelta
from types import SimpleNamespace
from uuid import uuid4

import pytest
from azure.core.exceptions import HttpResponseError

from activities import retention
from jobs import (
    bodies,
    bulk,
    claim_check,
    clock,
    dead_letters,
    failures,
    import_store,
    ledger,
    old_jobs,
    old_rows,
    parcels,
    uploads,
)
from jobs.ages import ages
from jobs.call import Call
from jobs.clients import clients
from jobs.entry import JobRef
from jobs.errors import NotAJobError
from jobs.parcels import Parcel
from tests.unit.jobs.crashes import dies

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("storage", "bus")]

ERROR = {"type": "OutOfStock", "message": "none left", "retryable": False}
DAY = timedelta(days=1)


class Durable:
    """Instances that have ended, by id."""

    def __init__(self) -> None:
        self.instances: set[str] = set()

    async def get_status(self, instance_id: str) -> bool:
        return instance_id in self.instances

    async def purge_instance_history(self, instance_id: str) -> SimpleNamespace:
        found = instance_id in self.instances
        self.instances.discard(instance_id)
        return SimpleNamespace(instances_deleted=int(found))


@pytest.fixture
def durable() -> Durable:
    return Durable()


async def clean_up(part: str, durable: Durable, *, dry_run: bool = False) -> dict:
    """One part, call by call, as the orchestrator does it."""
    sums, continuation, calls = {"counts": {}, "kept": {}}, None, 0
    while calls == 0 or continuation is not None:
        call = Call(
            JobRef("retention", "r", "c", ledger.now()),
            "erase_old",
            {"part": part, "dryRun": dry_run, "continuation": json.loads(json.dumps(continuation))},
        )
        page = await retention.erase(call, durable)
        for name, found in sums.items():
            for what, count in page[name].items():
                found[what] = found.get(what, 0) + count
        continuation, calls = page["next"], calls + 1
    return sums | {"calls": calls}


async def ended(durable: Durable, state: str, age: timedelta, *, kind: str = "order", **more) -> JobRef:
    """A job that ended so long ago, with its claim and its instance, and if it failed with its body."""
    id = f"old-{uuid4().hex}"
    job = JobRef(kind, id, "c", ledger.now(), claim=claim_check.name(kind, id))
    entry, _ = await ledger.submit(job, "digest")
    await claim_check.write(job.claim, b"{}")
    durable.instances.add(job.instance_id)
    if state == "Failed":
        await bodies.keep_job(job, {})
    row = {"state": state, "completedAt": ledger.written(clock.now() - age), "buried": True, **more}
    await ledger.merge(entry.job, entry.tag, row)
    return job


async def is_there(job: JobRef) -> bool:
    """Whether all of a job is there; that there is only some of it is an error."""
    try:
        await ledger.get(job.kind, job.id)
        row = True
    except ledger.JobNotFoundError:
        row = False
    assert await exists("claims", job.claim) is row
    return row


async def exists(container: str, name: str) -> bool:
    return await clients().container(container).get_blob_client(name).exists()


@pytest.mark.parametrize(
    ("state", "days", "goes"),
    [
        ("Completed", 31, True),
        ("Completed", 29, False),
        ("Cancelled", 31, True),
        ("Failed", 31, False),
        ("Failed", 91, True),
        ("Running", 400, False),
        ("Pending", 400, False),
    ],
)
async def test_a_job_goes_at_its_age(durable, state, days, goes):
    job = await ended(durable, state, days * DAY)
    found = await clean_up("jobs", durable, dry_run=True)
    assert await is_there(job)
    assert (await clean_up("jobs", durable))["counts"] == found["counts"]
    assert await is_there(job) is not goes
    assert (job.instance_id in durable.instances) is not goes
    if state == "Failed":
        assert await exists("dead-letters", bodies.of_job(job)) is not goes


async def test_a_failed_job_stays_while_its_letter_does(durable, bus):
    job = await ended(durable, "Failed", 400 * DAY, buried=False, error=json.dumps(ERROR))
    await clean_up("jobs", durable)
    assert await is_there(job), "it is still to be buried"
    await dead_letters.bury_job(await ledger.get(job.kind, job.id))
    assert (await clean_up("jobs", durable))["kept"]["deadLetters"] >= 1
    assert await is_there(job)
    bus.queues["poison-jobs"].dead.clear()
    await clean_up("jobs", durable)
    assert not await is_there(job)


async def test_a_job_of_which_somebody_could_not_be_told_stays_while_that_can_be_replayed(durable, bus):
    untold = json.dumps({"callback": {"state": "Failed", "attempts": 9}})
    job = await ended(durable, "Completed", 31 * DAY, deliveries=untold)
    body = json.dumps({"kind": job.kind, "id": job.id, "channel": "callback", "end": "e"}).encode()
    await dead_letters.bury_message("servicebus:deliveries", "d-1", body, NotAJobError("gone"))
    await clean_up("jobs", durable)
    assert await is_there(job)
    bus.queues["poison-jobs"].dead.clear()
    await clean_up("jobs", durable)
    assert not await is_there(job)


async def test_a_job_that_is_replayed_meanwhile_keeps_all_that_it_needs(durable, bus, monkeypatch):
    job = await ended(durable, "Failed", 400 * DAY, buried=False, error=json.dumps(ERROR))
    await dead_letters.bury_job(await ledger.get(job.kind, job.id))
    find = dead_letters.find

    async def replayed_first():
        await failures.reopen(await ledger.get(job.kind, job.id), in_new_run=True)
        bus.queues["poison-jobs"].dead.clear()
        async for each in find():
            yield each

    monkeypatch.setattr(dead_letters, "find", replayed_first)
    await clean_up("jobs", durable)
    assert await is_there(job)
    assert await exists("dead-letters", bodies.of_job(job))


async def test_a_job_that_could_not_be_undone_stays(durable):
    error = json.dumps(ERROR | {"openCompensations": ["refund_payment"]})
    job = await ended(durable, "Failed", 400 * DAY, error=error)
    assert (await clean_up("jobs", durable))["kept"]["openCompensations"] >= 1
    assert await is_there(job)


async def test_a_job_whose_row_is_damaged_stays_and_the_others_go(durable):
    damaged, old = [await ended(durable, "Completed", 400 * DAY) for _ in range(2)]
    keys = {"PartitionKey": damaged.kind, "RowKey": damaged.id}
    await ledger.table().update_entity({**keys, "result": "{"})
    assert (await clean_up("jobs", durable))["kept"]["damaged"] >= 1
    await ledger.table().update_entity({**keys, "result": "{}"})
    assert (await is_there(damaged), await is_there(old)) == (True, False)


async def test_files_and_addresses_go_with_their_job_and_no_other(durable):
    order = await ended(durable, "Completed", 31 * DAY)
    report = await ended(durable, "Completed", 31 * DAY, kind="sales-report", run=2)
    files = {
        "claims": f"order/{order.id}/address-1.json",
        "reports": f"{report.id}~2/report.csv",
        "results": f"sales-report/{report.id}.json",
    }
    other = f"{report.id}0/report.csv"
    for container, name in [*files.items(), ("reports", other)]:
        await clients().container(container).upload_blob(name, b"x")
    entry = await ledger.get(report.kind, report.id)
    await ledger.merge(report, entry.tag, {"resultBlob": files["results"]})
    await clean_up("jobs", durable)
    assert [await exists(*file) for file in files.items()] == [False, False, False]
    assert await exists("reports", other)


async def test_what_is_known_of_a_parcel_goes_with_its_shipment(durable):
    old, young = [await ended(durable, "Completed", days * DAY, kind="shipment") for days in (31, 29)]
    for job in (old, young):
        await parcels.look(Parcel(job.id), [], instance=job.instance_id, wake="news.1")
    await clean_up("jobs", durable, dry_run=True)
    assert (await parcels.read(old.id)).tag
    await clean_up("jobs", durable)
    assert [(await parcels.read(job.id)).tag is not None for job in (old, young)] == [False, True]


async def test_it_may_die_anywhere_and_begin_again(durable, bus, monkeypatch):
    number, died = 0, True
    monkeypatch.setattr("jobs.erasing.AT_ONCE", 1)
    while died:
        number += 1
        job = await ended(durable, "Completed", 31 * DAY)
        bus.crashes.die_at(number, after=True)
        died = await dies(lambda: clean_up("jobs", durable))
        bus.crashes.restart()
        await clean_up("jobs", durable)
        assert not await is_there(job)
    assert number > 3


async def test_many_go_page_by_page(durable, monkeypatch):
    monkeypatch.setattr(old_jobs, "PAGE", 400)
    monkeypatch.setattr(retention, "LONGEST", -1.0)
    prefix = uuid4().hex
    refs = [JobRef("analytics", f"{prefix}-{number:04}", "c", ledger.now()) for number in range(1000)]
    past = {"state": "Completed", "completedAt": ledger.written(clock.now() - 31 * DAY)}
    for start in range(0, 1000, bulk.MOST_IN_TRANSACTION):
        some = refs[start : start + bulk.MOST_IN_TRANSACTION]
        rows = [ledger.row_of(ref, "digest") | past for ref in some]
        await ledger.table().submit_transaction([("create", row) for row in rows])
    done = await clean_up("jobs", durable)
    assert (done["counts"]["jobs"] >= 1000, done["calls"] >= 3) == (True, True)
    with pytest.raises(ledger.JobNotFoundError):
        await ledger.get("analytics", refs[-1].id)


async def test_one_call_goes_through_many_pages(durable, monkeypatch):
    monkeypatch.setattr(old_rows, "PAGE", 2)
    name, old = uuid4().hex, ledger.written(ages().finished - DAY)
    for number in range(7):
        row = {"PartitionKey": name, "RowKey": str(number), "clearedAt": old, "untold": "[]"}
        await clients().table("alerts").create_entity(row)
    assert (await clean_up("alerts", durable))["calls"] == 1
    assert await _keys("alerts", name) == []


async def test_a_page_that_fails_takes_nothing_from_the_count_of_those_before_it(durable, monkeypatch):
    pages = []

    async def erase(name, eraser, known, continuation):
        pages.append(continuation)
        if pages == [None, 2] or pages[3:] == [None]:
            raise HttpResponseError("not now")
        eraser.counts["rows"] += 1
        return None if continuation else 2

    monkeypatch.setattr(old_rows, "erase", erase)
    found = await clean_up("alerts", durable)
    assert (found["counts"], found["calls"], pages) == ({"rows": 2}, 2, [None, 2, 2])
    with pytest.raises(HttpResponseError):
        await clean_up("alerts", durable)


@pytest.fixture
def later(monkeypatch):
    """Moves the clock: what a blob's age is, storage says."""
    now = clock.now

    def pass_days(days: int) -> None:
        monkeypatch.setattr(clock, "now", lambda: now() + days * DAY)

    return pass_days


async def test_the_inputs_of_imported_orders_stay_until_the_last_of_them_is_gone(durable, later):
    job = JobRef("order-import", uuid4().hex, "c", ledger.now())
    ids = [f"{job.id}-{number}" for number in (1, 2)]
    claims = await import_store.keep_inputs(job, 1, [b"{}", b"{}"], *ids)
    orders = [JobRef("order", id, "c", ledger.now(), claim=claim) for id, claim in zip(ids, claims, strict=True)]
    await bulk.submit_many([(order, "digest") for order in orders])
    for order, days in zip(orders, (31, 29), strict=True):
        entry = await ledger.get("order", order.id)
        past = {"state": "Completed", "completedAt": ledger.written(clock.now() - days * DAY)}
        await ledger.merge(order, entry.tag, past)
    blob = claim_check.blob_of(claims[0])
    await clean_up("jobs", durable)
    later(31)
    await clean_up("chunks", durable)
    assert await exists("claims", blob)
    await clean_up("jobs", durable)
    await clean_up("chunks", durable, dry_run=True)
    assert await exists("claims", blob)
    await clean_up("chunks", durable)
    assert not await exists("claims", blob)


async def test_an_upload_goes_with_its_job_and_without_one_at_the_age_of_failures(durable, later):
    container = clients().container("order-imports")
    names = [f"{uuid4().hex}.csv" for _ in range(3)]
    tags = [(await container.get_blob_client(name).upload_blob(b"x"))["etag"] for name in names]
    for name, tag, days in zip(names[:2], tags, (2, -10), strict=False):
        id = uploads.message("order-imports", name, tag)["id"]
        entry, _ = await ledger.submit(JobRef("order-import", id, "c", ledger.now()), "digest")
        past = {"state": "Completed", "completedAt": ledger.written(clock.now() - days * DAY)}
        await ledger.merge(entry.job, entry.tag, past)
    later(31)
    await clean_up("uploads", durable)
    assert [await exists("order-imports", name) for name in names] == [False, True, True]
    later(91)
    await clean_up("uploads", durable)
    assert [await exists("order-imports", name) for name in names] == [False, False, False]


async def test_the_upload_of_a_failed_job_outlasts_it(durable, bus, later):
    name = f"{uuid4().hex}.csv"
    tag = (await clients().container("order-imports").get_blob_client(name).upload_blob(b"x"))["etag"]
    job = JobRef("order-import", uploads.message("order-imports", name, tag)["id"], "c", ledger.now())
    entry, _ = await ledger.submit(job, "digest")
    failed = {"state": "Failed", "completedAt": ledger.now(), "buried": False, "error": json.dumps(ERROR)}
    await ledger.merge(job, entry.tag, failed)
    await dead_letters.bury_job(await ledger.get(job.kind, job.id))
    later(400)
    for _ in range(2):
        for part in ("uploads", "jobs"):
            await clean_up(part, durable)
    assert await exists("order-imports", name), "its dead letter can be replayed"
    bus.queues["poison-jobs"].dead.clear()
    for part in ("jobs", "uploads"):
        await clean_up(part, durable)
    assert not await exists("order-imports", name)


async def test_the_upload_of_a_job_whose_row_is_damaged_stays_and_spoils_nothing(durable, later):
    names = [f"{uuid4().hex}.csv" for _ in range(2)]
    for name in names:
        tag = (await clients().container("order-imports").get_blob_client(name).upload_blob(b"x"))["etag"]
        job = JobRef("order-import", uploads.message("order-imports", name, tag)["id"], "c", ledger.now())
        entry, _ = await ledger.submit(job, "digest")
        error = "no JSON" if name == names[0] else "null"
        await ledger.merge(job, entry.tag, {"state": "Completed", "completedAt": ledger.now(), "error": error})
    later(31)
    assert (await clean_up("uploads", durable))["kept"]["damaged"] >= 1
    assert [await exists("order-imports", name) for name in names] == [True, False]


async def test_the_body_of_a_message_stays_while_its_letter_does(durable, bus, later):
    await dead_letters.bury_message("storage:jobs", uuid4().hex, b"kept", NotAJobError("no job"))
    (letter,) = bus.letters()
    body = letter.application_properties[b"body"].decode()
    left = await bodies.keep_message(uuid4().hex, b"left over")
    later(91)
    await clean_up("bodies", durable)
    assert (await exists("dead-letters", body), await exists("dead-letters", left)) == (True, False)


async def test_old_rows_go_and_those_that_stand_for_something_stay(durable, later):
    known = ages()
    name = uuid4().hex
    old = ledger.written(known.finished - DAY)
    rows = {
        "schedules": [{"RowKey": old, "startedAt": old}, {"RowKey": "head", "since": old}],
        "alerts": [
            {"RowKey": "cleared", "clearedAt": old, "untold": "[]"},
            {"RowKey": "untold", "clearedAt": old, "untold": '[["Cleared", "mail"]]'},
            {"RowKey": "active", "untold": "[]"},
        ],
        "imports": [
            {"PartitionKey": f"turn-{name}", "RowKey": "identity", "importedAt": ledger.written(known.failed - DAY)},
            # As older versions of the app wrote it: what a name or a content has ordered is known for good.
            {"RowKey": "identity", "importedAt": ledger.written(known.failed - DAY)},
        ],
        "replays": [{"RowKey": "count", "count": 1}],
    }
    for table, some in rows.items():
        for row in some:
            await clients().table(table).create_entity({"PartitionKey": name, **row})
    left = {}
    for table in rows:
        if table == "replays":
            await clean_up(table, durable)
            assert await _keys(table, name) == ["count"]
            later(91)
        await clean_up(table, durable)
        left[table] = await _keys(table, name)
    assert left == {"schedules": ["head"], "alerts": ["active", "untold"], "imports": ["identity"], "replays": []}
    assert await _keys("imports", f"turn-{name}") == []


async def _keys(table: str, partition: str) -> list[str]:
    found = clients().table(table).query_entities("PartitionKey eq @name", parameters={"name": partition})
    return [row["RowKey"] async for row in found]
