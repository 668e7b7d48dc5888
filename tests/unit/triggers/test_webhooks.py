"""The carrier's webhooks at their door: who may knock, what is taken, and who is called to look."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from standardwebhooks import Webhook

from jobs import parcels
from jobs.parcels import Change, Parcel
from jobs.settings import settings
from tests.unit.triggers.doors import ask, content

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("storage")]

SECRET = "whsec_" + base64.b64encode(b"for tests of webhooks").decode()
ANOTHER = "whsec_" + base64.b64encode(b"somebody else's words").decode()
AT = "2026-01-01T00:00:00+00:00"
FIRST = Change(1, "announced", "2026-01-01T00:00:00.000000Z")


@pytest.fixture(autouse=True)
def secret(storage, monkeypatch):
    monkeypatch.setenv("CARRIER_WEBHOOK_SECRET", SECRET)
    settings.cache_clear()


@pytest.fixture
async def parcel() -> str:
    """A parcel that is watched, and of which the customer knows the first change."""
    number = f"PX{uuid4().hex[:12]}"
    await parcels.look(Parcel(number), [FIRST], instance=f"shipment-{number}", wake="news.1")
    await parcels.tell(number, 1)
    return number


def moved(parcel: str, sequence: Any = 2, state: Any = "collected", **more: Any) -> bytes:
    data = {"id": parcel, "sequence": sequence, "state": state, "at": AT, **more}
    return json.dumps({"type": "parcel.moved", "timestamp": AT, "data": data}).encode()


def signed(body: bytes, *, id: str = "msg_1", secret: str = SECRET, age: float = 0.0) -> dict[str, str]:
    at = datetime.now(UTC) - timedelta(seconds=age)
    return {
        "webhook-id": id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(secret).sign(id, at, body.decode(errors="replace")),
    }


async def tell(durable, body: bytes, headers: dict[str, str] | None = None):
    headers = signed(body) if headers is None else headers
    return await ask("take_carrier_webhook", durable, method="POST", body=body, headers=headers)


async def test_news_are_entered_and_call_for_a_look(durable, parcel):
    assert (await tell(durable, moved(parcel))).status_code == 202
    found = await parcels.read(parcel)
    assert (found.newest.sequence, found.newest.state, found.told) == (2, "collected", 1)
    assert durable.events == [(f"shipment-{parcel}", "news.1")]


async def test_a_duplicate_has_no_effect_once_it_is_told(durable, parcel):
    body = moved(parcel)
    for _ in range(2):
        await tell(durable, body, signed(body, id="msg_7"))
    before = await parcels.read(parcel)
    # What it calls for is one look: the name of the event is waited for once.
    assert set(durable.events) == {(f"shipment-{parcel}", "news.1")}
    await parcels.tell(parcel, 2)
    durable.events.clear()
    for id in ("msg_7", "msg_8"):
        assert (await tell(durable, body, signed(body, id=id))).status_code == 202
    assert (await parcels.read(parcel)).changes == before.changes
    assert durable.events == []


async def test_what_is_old_changes_nothing(durable, parcel):
    await tell(durable, moved(parcel, 3, "delivered"))
    await parcels.tell(parcel, 3)
    durable.events.clear()
    assert (await tell(durable, moved(parcel, 2, "collected"))).status_code == 202
    assert (await parcels.read(parcel)).newest.state == "delivered"
    assert durable.events == []


async def test_news_stay_when_nobody_can_be_woken(durable, parcel, monkeypatch):
    async def gone(*_: object) -> None:
        raise Exception("the instance has ended")

    monkeypatch.setattr(durable, "raise_event", gone)
    assert (await tell(durable, moved(parcel))).status_code == 202
    assert (await parcels.read(parcel)).newest.sequence == 2


async def test_who_has_not_signed_is_refused(durable, parcel):
    body = moved(parcel)
    good = signed(body)
    forged = {
        "unsigned": {},
        "another's secret": signed(body, secret=ANOTHER),
        "another body": signed(moved(parcel, 5)),
        "another id": good | {"webhook-id": "msg_2"},
        "stale": signed(body, age=3600),
        "from the future": signed(body, age=-3600),
        "no time": good | {"webhook-timestamp": "soon"},
        "not a number": good | {"webhook-timestamp": "nan"},
        "another version": good | {"webhook-signature": good["webhook-signature"].replace("v1,", "v2,")},
        "no comma": good | {"webhook-signature": "v1"},
        "no base64": good | {"webhook-signature": "v1,x"},
        "not ASCII": good | {"webhook-signature": "v1,é"},
        "without a signature": {name: value for name, value in good.items() if name != "webhook-signature"},
    }
    for what, headers in forged.items():
        answer = await tell(durable, body, headers)
        assert (answer.status_code, content(answer)["title"]) == (401, "Not signed"), what
    assert (await tell(durable, b"\xff\xfe", good)).status_code == 401
    assert ((await parcels.read(parcel)).newest, durable.events) == (FIRST, [])


async def test_what_is_signed_and_makes_no_sense_is_named(durable, parcel):
    bodies = {
        "no JSON": b"parcel moved",
        "a list": b"[]",
        "no type": b"{}",
        "no data": b'{"type": "parcel.moved"}',
        "a state that is none": moved(parcel, state="eaten"),
        "a sequence that is none": moved(parcel, sequence="2"),
        "below one": moved(parcel, sequence=0),
        "before the first year": moved(parcel, at="0001-01-01T00:00:00+23:59"),
        "a number that is none": moved("../jobs"),
        "a key twice": b'{"type": "parcel.moved", "type": "parcel.moved"}',
    }
    for what, body in bodies.items():
        answer = await tell(durable, body)
        assert (answer.status_code, b"eaten" in answer.get_body()) == (400, False), what
    assert ((await parcels.read(parcel)).newest, durable.events) == (FIRST, [])


async def test_a_parcel_that_nobody_watches_is_404(durable):
    answer = await tell(durable, moved("PX-of-another-shop"))
    assert (answer.status_code, content(answer)["title"]) == (404, "No such parcel")


async def test_other_types_are_ignored(durable):
    assert (await tell(durable, b'{"type": "invoice.created", "data": {}}')).status_code == 202
    assert durable.events == []


async def test_a_large_one_is_not_read(durable, parcel):
    answer = await tell(durable, moved(parcel, note="x" * 70_000))
    assert answer.status_code == 413


@pytest.mark.parametrize("secret", ["", "whsec_!", "whsec_"])
async def test_without_its_secret_the_door_says_so(durable, monkeypatch, secret):
    monkeypatch.setenv("CARRIER_WEBHOOK_SECRET", secret)
    settings.cache_clear()
    answer = await tell(durable, b"{}")
    assert (answer.status_code, "CARRIER_WEBHOOK_SECRET" in content(answer)["detail"]) == (503, True)
