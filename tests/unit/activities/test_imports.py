"""The steps of an import on real storage: whenever the process dies, a repetition does what is left and no more."""

from __future__ import annotations

import asyncio
import csv
import json
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import uuid4

import pytest

from activities import imports
from jobs import bulk, claim_check, import_book, import_hand_over, import_report, intake, ledger
from jobs.call import Call
from jobs.clients import clients
from jobs.errors import BlobChangedError, SettingMissingError
from jobs.import_rows import id_of
from jobs.ledger import JobRef
from jobs.settings import settings
from tests.orders import order
from tests.unit.jobs.crashes import dies
from tests.unit.jobs.fake_bus import FakeBus, restarted

pytestmark = pytest.mark.anyio

ROWS = 120
BAD = {7: '{"card": "tok_visa"}', 12: "no JSON"}


def lines(rows: int = ROWS, bad: dict[int, str] | None = None, *, whose: str | None = None) -> list[str]:
    """A file in JSON Lines with these bad lines, and a content that no other has."""
    whose = whose or uuid4().hex[:8]
    return [(bad or {}).get(line) or json.dumps(order(f"{whose}-{line}")) for line in range(1, rows + 1)]


@pytest.fixture(autouse=True)
async def no_file_is_left(storage) -> AsyncIterator[None]:
    """The hosts of later tests would import it."""
    yield
    container = clients().container("order-imports")
    async for name in container.list_blob_names():
        await container.delete_blob(name)


@dataclass
class File:
    """A file in storage, and the job that imports it."""

    input: dict[str, Any]
    job: JobRef

    def call(self, **input: Any) -> Call:
        return Call(self.job, "step", self.input | input)

    async def take(self) -> dict[str, Any]:
        """All steps, one after the other."""
        found = await imports.scan(self.call())
        for chunk in range(found["chunks"]):
            await imports.take_chunk(self.call(chunk=chunk))
        return await self.report(found["chunks"])

    async def report(self, chunks: int, *, complete: bool = True) -> dict[str, Any]:
        return await imports.report(self.call(chunks=chunks, complete=complete))


async def uploaded(content: bytes | list[str], name: str | None = None) -> File:
    content = content if isinstance(content, bytes) else "\n".join(content).encode()
    name = name or f"{uuid4().hex}.jsonl"
    blob = clients().container("order-imports").get_blob_client(name)
    etag = (await blob.upload_blob(content, overwrite=True))["etag"]
    return File({"name": name, "etag": etag}, JobRef("order-import", uuid4().hex, "correlation-1", ledger.now()))


def counts(result: dict[str, Any]) -> list[int]:
    return [result[name] for name in ("rows", "accepted", "orderedBefore", "bad")]


def begun(bus: FakeBus) -> list[str]:
    """The ids of the orders that messages are to begin."""
    return [json.loads(b"".join(message.body))["id"] for message in bus.queues["jobs"].active]


async def read(link: dict[str, str]) -> str:
    container, _, name = link["blob"].partition("/")
    return (await (await clients().container(container).download_blob(name)).readall()).decode()


async def bad_rows(result: dict[str, Any]) -> list[list[str]]:
    """Line, field and reason."""
    return list(csv.reader((await read(result["report"])).splitlines()))[1:]


async def test_orders_wait_in_one_blob_and_are_begun_at_their_rate(bus, durable):
    file = await uploaded(lines(bad=BAD, whose="ada"))
    before = datetime.now(UTC)
    result = await file.take()
    assert counts(result) == [ROWS, ROWS - 2, 0, 2]
    messages = bus.queues["jobs"].active
    assert len(messages) == ROWS - 2
    bodies = [json.loads(b"".join(message.body)) for message in messages]
    assert {*bodies[0]} == {"kind", "id", "correlationId", "handOver"}
    assert import_hand_over.due(before, 40) == before + timedelta(seconds=4)
    due = sorted(message.scheduled_enqueue_time_utc for message in messages)
    assert due[0] >= before and due[-1] - due[0] == timedelta(seconds=(ROWS - 1) / 10)
    claims = {(await ledger.get("order", body["id"])).job.claim for body in bodies}
    assert len(claims) == ROWS - 2 and len({claim_check.blob_of(claim) for claim in claims}) == 1

    entry = await ledger.get("order", bodies[3]["id"])
    body, delivery = b"".join(messages[3].body), intake.BusDelivery("jobs", "m", 1, False)
    for _ in range(2):
        await intake.receive_from_bus(body, delivery, durable)
    assert durable.starts == 1
    started = durable.started[entry.job.instance_id]
    assert started["job"]["claim"] == entry.job.claim and "Ada" not in json.dumps(started)
    assert await claim_check.read(entry.job.claim) == order("ada-4")
    names = [name async for name in clients().container("claims").list_blob_names(name_starts_with="order-import/")]
    assert [name for name in names if "#" in name] == []


async def test_a_death_at_any_call_of_a_chunk_loses_and_doubles_nothing(bus, crashes):
    call, after, died = 0, True, True
    while died:
        call, after = (call, True) if not after else (call + 1, False)
        file = await uploaded(lines(bad=BAD, whose=f"{call}-{after}"))
        await imports.scan(file.call())
        bus.queues.clear()
        crashes.die_at(call, after=after)
        died = await dies(lambda file=file: imports.take_chunk(file.call(chunk=0)))
        await restarted(bus)
        assert counts(await imports.take_chunk(file.call(chunk=0))) == [ROWS, ROWS - 2, 0, 2]
        identity = sha256(file.input["name"].encode()).hexdigest()[:16]
        assert set(begun(bus)) == {id_of(identity, line) for line in range(1, ROWS + 1) if line not in BAD}
        assert set(await import_book.read(identity)) == set(range(1, ROWS + 1)) - set(BAD)
        for line in (1, ROWS):
            entry = await ledger.get("order", id_of(identity, line))
            assert await claim_check.read(entry.job.claim) == order(f"{call}-{after}-{line}")
    assert call >= 6


async def test_a_death_at_any_call_of_the_report_changes_nothing(bus, crashes):
    call, after, died = 0, True, True
    while died:
        call, after = (call, True) if not after else (call + 1, False)
        file = await uploaded(lines(12, BAD))
        await imports.scan(file.call())
        await imports.take_chunk(file.call(chunk=0))
        crashes.die_at(call, after=after)
        died = await dies(lambda file=file: file.report(1))
        await restarted(bus)
        result = await file.report(1)
        assert counts(result) == [12, 10, 0, 2]
        assert Counter(line for line, *_ in await bad_rows(result)) == {"7": 3, "12": 1}
    assert call >= 6


async def test_two_hosts_take_the_same_chunk_at_once(bus):
    file = await uploaded(lines())
    await imports.scan(file.call())
    taken = await asyncio.gather(*(imports.take_chunk(file.call(chunk=0)) for _ in range(2)))
    assert [counts(each) for each in taken] == [[ROWS, ROWS, 0, 0]] * 2


async def test_the_same_content_under_other_names_and_the_corrected_file(bus):
    whose = uuid4().hex[:8]
    first = await uploaded(lines(20, BAD, whose=whose))
    assert counts(await first.take()) == [20, 18, 0, 2]
    other = await uploaded(lines(20, BAD, whose=whose))
    assert counts(await other.take()) == [20, 0, 18, 2]
    # The other name belongs to the same orders from now on.
    for name in (other.input["name"], first.input["name"]):
        corrected = await uploaded(lines(20, whose=whose), name)
        taken = await corrected.take()
        assert counts(taken) == ([20, 2, 18, 0] if name == other.input["name"] else [20, 0, 20, 0])
    changed = await (
        await uploaded([*lines(19, whose=whose), json.dumps(order("another"))], first.input["name"])
    ).take()
    assert counts(changed) == [20, 0, 19, 1]
    ((line, _, reason),) = await bad_rows(changed)
    assert line == "20" and reason.startswith("this line was ordered before with other content")


async def test_a_replaced_or_deleted_file(bus):
    file = await uploaded(lines(20))
    await imports.scan(file.call())
    newer = await uploaded(lines(10), file.input["name"])
    for act in (imports.scan(file.call()), imports.take_chunk(file.call(chunk=0))):
        with pytest.raises(BlobChangedError):
            await act
    await imports.scan(replace(newer, input=newer.input | {"etag": newer.input["etag"].strip('"')}).call())
    await clients().container("order-imports").delete_blob(file.input["name"])
    with pytest.raises(BlobChangedError):
        await imports.scan(newer.call())


async def test_files_that_are_too_large_or_empty(bus, monkeypatch):
    monkeypatch.setattr(imports, "LARGEST_FILE", 1000)
    with pytest.raises(imports.FileTooLargeError, match="1,000 at most"):
        await imports.scan((await uploaded(b"x" * 1001)).call())
    with pytest.raises(imports.import_file.NoRowsError):
        await imports.scan((await uploaded(b"")).call())


async def test_a_part_that_was_not_taken(bus, monkeypatch):
    """The report of an import that ended early says what there is; of a complete one nothing may lack."""
    file = await uploaded(lines(20))
    await imports.scan(file.call())
    with pytest.raises(imports.import_report.ImportDataLostError):
        await file.report(1)
    assert counts(await file.report(1, complete=False)) == [0, 0, 0, 0]


async def test_pieces_of_a_file_need_not_end_where_characters_do(bus, monkeypatch):
    monkeypatch.setattr(imports, "PIECE", 7)
    content = [json.dumps(order(f"c{line}") | {"card": "€" * 20}, ensure_ascii=False) for line in range(3)]
    assert counts(await (await uploaded(content)).take()) == [3, 0, 0, 3]


async def test_a_rate_that_is_none(monkeypatch):
    monkeypatch.setenv("IMPORT_ORDERS_PER_SECOND", "0")
    settings.cache_clear()
    try:
        with pytest.raises(SettingMissingError, match="more than 0"):
            import_hand_over.due(datetime.now(UTC), 1)
    finally:
        settings.cache_clear()


async def test_rows_that_are_there_are_found_in_the_middle_of_many(storage):
    job = JobRef("order", "", "correlation-1", ledger.now(), "claim")
    prefix = uuid4().hex[:16]
    jobs = [(replace(job, id=id_of(prefix, number)), f"digest-{number}") for number in range(250)]
    await ledger.submit(jobs[130][0], "another digest")
    entered = await bulk.submit_many(jobs)
    assert [each.digest for each in entered] == [
        "another digest" if number == 130 else digest for number, (_, digest) in enumerate(jobs)
    ]
    assert entered == await bulk.submit_many(jobs)


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
async def test_no_field_of_a_report_is_a_formula(text):
    assert import_report.no_formula(text) == f"'{text}"
    assert import_report.no_formula(f"a{text}") == f"a{text}"
