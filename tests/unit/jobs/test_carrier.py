"""The carrier's answers: what is believed, and what is taken for an outage."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from jobs import carrier
from jobs.carrier import CarrierRefusedError, CarrierUnavailableError
from jobs.clients import clients
from jobs.errors import SettingMissingError
from jobs.parcels import Change
from jobs.settings import settings

pytestmark = pytest.mark.anyio

AT = "2026-01-01T10:00:00+02:00"
GOOD: dict[str, Any] = {
    "id": "PX1",
    "state": "collected",
    "sequence": 2,
    "events": [
        {"sequence": 1, "state": "announced", "at": AT},
        {"sequence": 2, "state": "collected", "at": AT, "where": "Lyon"},
    ],
    "service": "standard",
}


def bad(**changes: Any) -> dict[str, Any]:
    return copy.deepcopy(GOOD) | changes


def events(*changes: tuple[Any, Any, Any]) -> list[dict[str, Any]]:
    return [{"sequence": sequence, "state": state, "at": at} for sequence, state, at in changes]


RUBBISH = {
    "a page": "<!doctype html><title>Be right back</title>",
    "nothing": "",
    "half of it": json.dumps(GOOD)[:-20],
    "a list": [GOOD],
    "nested without end": "[" * 100_000,
    "another parcel": bad(id="PX2"),
    "no parcel": {"error": "try later"},
    "no events": bad(events=[]),
    "an unknown state": bad(state="eaten", events=events((1, "announced", AT), (2, "eaten", AT))),
    "a sequence that goes back": bad(events=events((2, "announced", AT), (1, "collected", AT)), sequence=1),
    "a sequence twice": bad(events=events((2, "announced", AT), (2, "collected", AT))),
    "a state that is not its last event's": bad(state="delivered"),
    "a sequence that is not its last event's": bad(sequence=9),
    "a number as text": bad(sequence="2"),
    "no sequence": bad(sequence=0, events=events((0, "collected", AT))),
    "a time without a zone": bad(events=events((1, "announced", AT), (2, "collected", "2026-01-01T10:00:00"))),
    "no time": bad(events=events((1, "announced", AT), (2, "collected", "soon"))),
    "too much": bad(events=events(*((n, "in-transit", AT) for n in range(1, 400))), sequence=399, state="in-transit"),
    "megabytes": "x" * (2 * 1024 * 1024),
}


@pytest.fixture
async def answering(monkeypatch):
    """A carrier that answers as a test has it: `said["status"]`, `said["body"]`."""
    said: dict[str, Any] = {"status": 200, "body": GOOD}

    async def answer(_request: web.Request) -> web.Response:
        body = said["body"]
        text = body if isinstance(body, str) else json.dumps(body)
        return web.Response(status=said["status"], text=text)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    async with TestServer(app) as server:
        monkeypatch.setenv("CARRIER_URL", f"http://127.0.0.1:{server.port}")
        settings.cache_clear()
        yield said
        await clients().close()
    settings.cache_clear()


async def test_what_it_says_besides_is_no_concern_of_ours(answering):
    assert await carrier.track("PX1", correlation_id="c") == [
        Change(1, "announced", "2026-01-01T08:00:00.000000Z"),
        Change(2, "collected", "2026-01-01T08:00:00.000000Z"),
    ]


async def test_rubbish_is_an_outage(answering):
    for what, body in RUBBISH.items():
        answering["body"] = body
        with pytest.raises(CarrierUnavailableError) as caught:
            await carrier.track("PX1", correlation_id="c")
        assert "eaten" not in str(caught.value), what
        assert len(str(caught.value)) < 300, what


@pytest.mark.parametrize("status", [301, 401, 404, 429, 500, 503])
async def test_so_is_a_carrier_that_does_not_say(answering, status):
    answering["status"] = status
    with pytest.raises(CarrierUnavailableError):
        await carrier.track("PX1", correlation_id="c")


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (422, {"code": "parcel_refused"}, CarrierRefusedError),
        (500, {}, CarrierUnavailableError),
        (200, {"id": "../../jobs"}, CarrierUnavailableError),
        (200, {"id": 7}, CarrierUnavailableError),
        (200, "<html>", CarrierUnavailableError),
    ],
)
async def test_a_booking_that_is_none(answering, status, body, error):
    answering |= {"status": status, "body": body}
    with pytest.raises(error):
        await carrier.book("order-A-1", key="k", correlation_id="c")


async def test_without_its_setting(monkeypatch):
    monkeypatch.delenv("CARRIER_URL", raising=False)
    settings.cache_clear()
    with pytest.raises(SettingMissingError, match="CARRIER_URL"):
        await carrier.track("PX1", correlation_id="c")
