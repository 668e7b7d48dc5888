"""The HTTP door to jobs: its contract, and that nothing sent to it breaks it."""

from __future__ import annotations

import asyncio
import base64
import json
from datetime import UTC, datetime, timedelta
from unittest.mock import AsyncMock
from uuid import uuid4

import pytest
from azure.core.exceptions import ServiceRequestError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobs import delay, ledger
from tests.orders import order
from tests.unit.triggers.doors import ask, content

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("storage")]

FUZZ = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=10,
)


async def submit(durable, input=None, *, kind="order", id=None, body=None, headers=None, params=None):
    body = json.dumps(order("c-1") if input is None else input).encode() if body is None else body
    headers = dict(headers or {}) | ({"Idempotency-Key": id} if id is not None else {})
    return await ask("submit_job", durable, method="POST", body=body, headers=headers, params=params, kind=kind)


def assert_problem(answer, status: int) -> dict:
    assert answer.status_code == status, answer.get_body()
    assert answer.mimetype == "application/problem+json"
    problem = content(answer)
    assert problem["status"] == status
    assert problem["title"]
    assert problem["detail"]
    return problem


async def test_a_new_job_is_accepted(durable):
    answer = await submit(durable, id="new-1", headers={"x-correlation-id": "c-42"})
    assert answer.status_code == 202
    assert answer.headers["Location"] == "/api/jobs/order/new-1"
    assert int(answer.headers["Retry-After"]) > 0
    shown = content(answer)
    assert (shown["kind"], shown["id"], shown["status"]) == ("order", "new-1", "Pending")
    assert shown["correlationId"] == answer.headers["x-correlation-id"] == "c-42"


async def test_a_repeated_job_is_the_same_and_another_input_is_refused(durable):
    id = uuid4().hex
    await submit(durable, id=id)
    repeated = await submit(durable, id=id)
    assert (repeated.status_code, content(repeated)["id"]) == (200, id)
    assert_problem(await submit(durable, order("c-1", quantity=2), id=id), 409)
    assert durable.starts == 1


async def test_without_a_key_each_request_is_a_job(durable):
    first, second = [content(await submit(durable)) for _ in range(2)]
    assert first["id"] != second["id"]


async def test_each_wrong_field_is_named(durable):
    wrong = order("c-1") | {"surprise": 1}
    wrong["customer"]["email"] = "secret"
    del wrong["currency"]
    problem = assert_problem(await submit(durable, wrong), 400)
    assert {error["field"] for error in problem["errors"]} == {"customer.email", "currency", "surprise"}
    assert "secret" not in json.dumps(problem)


async def test_an_unknown_kind(durable):
    assert "mail" in assert_problem(await submit(durable, kind="cake"), 404)["detail"]


@pytest.mark.parametrize("id", ["a/b", "../x", "a b", "-a", "x" * 81, "é", "a\x00"])
async def test_an_odd_id(durable, id):
    assert assert_problem(await submit(durable, id=id), 400)["errors"][0]["field"] == "id"


async def test_too_large(durable):
    assert_problem(await submit(durable, body=b'{"a": "' + b"x" * 1_000_000 + b'"}'), 413)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b"\xff", b"[" * 10_000, b'{"a": NaN}', b'{"a": 1, "a": 1}', rb'{"a": "\ud800"}']
)
async def test_what_is_no_job(durable, body):
    assert_problem(await submit(durable, body=body), 400)


async def test_a_plus_that_nobody_escaped_in_the_time(durable, monkeypatch):
    monkeypatch.setattr(delay, "schedule", AsyncMock())
    tomorrow = datetime.now(UTC).date() + timedelta(days=1)
    shown = content(await submit(durable, params={"notBefore": f"{tomorrow}T08:00:00 02:00"}, id=uuid4().hex))
    assert (shown["status"], shown["notBefore"]) == ("Pending", f"{tomorrow}T06:00:00.000000Z")
    assert durable.starts == 0


@pytest.mark.parametrize(
    "time", ["", "10", "+10m", "2027-01-01", "2027-01-01 08:00", "2026-12-01T08:00:00", "9999-12-31T00:00:00Z"]
)
async def test_an_odd_time_to_start(durable, time):
    problem = assert_problem(await submit(durable, params={"notBefore": time}), 400)
    assert problem["errors"][0]["field"] == "notBefore"


async def test_an_odd_priority(durable):
    problem = assert_problem(await submit(durable, params={"priority": "now"}), 400)
    assert problem["errors"][0]["field"] == "priority"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"traceparent": f"00-{'4b' * 16}-{'f0' * 8}-01"}, "4b" * 16),
        ({"x-correlation-id": "c 42\n"}, None),
        ({"traceparent": "nonsense"}, None),
    ],
)
async def test_the_correlation_id_is_the_callers_if_it_is_one(durable, headers, expected):
    found = content(await submit(durable, headers=headers))["correlationId"]
    assert found == expected or (expected is None and len(found) == 32)


async def test_prefer_wait_answers_when_the_job_has_ended(durable):
    id = uuid4().hex

    async def end() -> None:
        while True:
            await asyncio.sleep(0.01)
            try:
                entry = await ledger.get("order", id)
            except Exception:
                continue
            await ledger.end(entry.job, None, "Completed", result={"total": 1})
            return

    answer, _ = await asyncio.gather(submit(durable, id=id, headers={"Prefer": "respond-async, wait=30"}), end())
    assert (answer.status_code, content(answer)["status"]) == (200, "Completed")
    assert answer.headers["Preference-Applied"] == "wait=30"


async def test_prefer_wait_gives_up_in_time(durable):
    answer = await submit(durable, headers={"Prefer": "wait=0"})
    assert (answer.status_code, content(answer)["status"]) == (202, "Pending")


async def test_the_status_of_a_job(durable):
    id = content(await submit(durable))["id"]
    assert content(await ask("get_job", durable, kind="order", id=id))["status"] == "Pending"
    assert_problem(await ask("get_job", durable, kind="order", id="none"), 404)
    assert_problem(await ask("get_job", durable, kind="order", id="../x"), 404)
    assert_problem(await ask("get_job", durable, kind="cake", id=id), 404)


async def test_cancelling(durable):
    id = content(await submit(durable))["id"]
    answer = await ask("cancel_job", durable, method="POST", kind="order", id=id)
    assert (answer.status_code, durable.events) == (202, [(f"order-{id}", "cancel")])
    await ledger.end((await ledger.get("order", id)).job, None, "Completed")
    assert_problem(await ask("cancel_job", durable, method="POST", kind="order", id=id), 409)
    assert_problem(await ask("cancel_job", durable, method="POST", kind="order", id="none"), 404)


async def test_listing_page_by_page(durable):
    ids = {content(await submit(durable, {"event": "listed"}, kind="analytics"))["id"] for _ in range(3)}
    found, params = set(), {"kind": "analytics", "status": "Pending", "top": "2", "since": "2026-01-01"}
    while True:
        page = content(await ask("list_jobs", params=params))
        assert len(page["jobs"]) <= 2
        found |= {job["id"] for job in page["jobs"]}
        if "continuationToken" not in page:
            break
        assert page["next"].startswith("/api/jobs?")
        params["continuationToken"] = page["continuationToken"]
    assert ids <= found


@pytest.mark.parametrize(
    ("params", "status"),
    [
        ({"kind": "cake"}, 404),
        ({"status": "Sleeping"}, 400),
        ({"status": "x' or '1' eq '1"}, 400),
        ({"since": "yesterday"}, 400),
        ({"since": "0001-01-01T00:00:00+23:59"}, 400),
        ({"top": "0"}, 400),
        ({"top": "1001"}, 400),
        ({"top": "²"}, 400),
        ({"top": "-1"}, 400),
        ({"order": "oldest"}, 400),
        ({"order": "newest", "continuationToken": "eyJQYXJ0aXRpb25LZXkiOiAiYSIsICJSb3dLZXkiOiAiYiJ9"}, 400),
        ({"continuationToken": "!"}, 400),
        ({"continuationToken": "é"}, 400),
        ({"continuationToken": "W10="}, 400),
        ({"continuationToken": "bnVsbA=="}, 400),
    ],
)
async def test_odd_filters(params, status):
    assert_problem(await ask("list_jobs", params=params), status)


async def test_storage_that_is_away_is_a_503(durable, monkeypatch):
    async def away(*_):
        raise ServiceRequestError("connection refused")

    monkeypatch.setattr(ledger, "submit", away)
    problem = assert_problem(await submit(durable), 503)
    assert "health" in problem["detail"]


async def test_a_bug_is_a_500_that_tells_nothing(durable, monkeypatch):
    async def broken(*_):
        raise KeyError("secret")

    monkeypatch.setattr(ledger, "submit", broken)
    assert "secret" not in json.dumps(assert_problem(await submit(durable), 500))


@FUZZ
@given(body=st.binary(max_size=300) | values.map(lambda value: json.dumps(value).encode()), id=st.text(max_size=90))
async def test_whatever_is_sent_is_answered(durable, body, id):
    answer = await submit(durable, body=body, id=id)
    assert_problem(answer, answer.status_code)
    assert answer.status_code in (400, 413)


@FUZZ
@given(value=values, field=st.sampled_from(["customer", "card", "currency", "lines"]))
async def test_whatever_is_in_a_field_is_answered(durable, value, field):
    answer = await submit(durable, order("c-1") | {field: value}, id="never-accepted")
    assert_problem(answer, answer.status_code)
    assert answer.status_code == 400


@pytest.mark.parametrize("ended", ["Terminated", "Failed", "Completed"])
async def test_cancelling_a_job_whose_instance_has_ended(durable, monkeypatch, ended):
    """It ends between the look at its status and the event, which the SDK refuses with a bare Exception."""
    id = content(await submit(durable))["id"]

    async def gone(instance_id, name):
        durable.statuses[instance_id]["runtimeStatus"] = ended
        raise Exception(f"Instance with ID {instance_id} is gone: either completed or failed")

    monkeypatch.setattr(durable, "raise_event", gone)
    assert_problem(await ask("cancel_job", durable, method="POST", kind="order", id=id), 409)


async def test_cancelling_when_durable_fails_can_be_tried_again(durable, monkeypatch):
    id = content(await submit(durable))["id"]

    async def broken(instance_id, name):
        raise Exception("Got unexpected status 500")

    monkeypatch.setattr(durable, "raise_event", broken)
    assert_problem(await ask("cancel_job", durable, method="POST", kind="order", id=id), 503)


async def test_the_next_page_does_not_repeat_the_function_key(durable):
    for _ in range(2):
        await submit(durable, {"event": "listed"}, kind="analytics")
    page = content(await ask("list_jobs", params={"kind": "analytics", "top": "1", "code": "secret-key"}))
    assert "kind=analytics&top=1&continuationToken=" in page["next"]
    assert "secret-key" not in page["next"]


@pytest.mark.parametrize("key", ["\x00", "\ud800", "\u20ac", "1!8!x", "a/b", "x" * 2000, ""])
async def test_a_forged_continuation_token(durable, key):
    token = base64.urlsafe_b64encode(json.dumps({"PartitionKey": key, "RowKey": key}).encode()).decode()
    answer = await ask("list_jobs", params={"continuationToken": token})
    assert answer.status_code in (200, 400), answer.get_body()
