"""Sensitive input rests in its claim: no queue, history, table, log or answer shows it, however a job ends."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from azure.servicebus import ServiceBusMessage
from azure.storage.blob import BlobServiceClient

from tests.integration.jobs_seen import fresh

NAME = "Zoë Quillfeather"
ADDRESS = "77 Marzipan Crescent, Łódź"
CARD = "tok_zoe_4242424242424242"
TEXT = "the surprise party is on Friday"
SUBJECT = "a wholly private matter"
TABLES = ("jobs", "stock", "orders", "analytics", "replays")


@pytest.fixture
def shop(open_shop):
    """A failed mail is tried again at once."""
    return open_shop(AzureFunctionsJobHost__extensions__queues__visibilityTimeout="00:00:00")


def order(jobs, id: str, **more) -> dict:
    input = jobs.order(id) | {"card": CARD} | more
    return input | {"customer": input["customer"] | {"name": NAME, "address": ADDRESS}}


def mail(id: str) -> dict:
    return {"to": f"{id}@example.com", "subject": SUBJECT, "text": TEXT}


def moved(order: str) -> ServiceBusMessage:
    """The event that the customer of an order has a new address."""
    event = {"event": "change-address", "sequence": 1, "address": ADDRESS}
    return ServiceBusMessage(json.dumps(event), session_id=order)


def found_in(place: bytes | str, ids: list[str]) -> list[str]:
    """The secrets that a place holds, in whichever way JSON may spell them."""
    content = place if isinstance(place, bytes) else place.encode()
    secrets = [NAME, ADDRESS, CARD, TEXT, SUBJECT, *(f"{id}@example.com" for id in ids)]
    spelled = {
        secret: (secret.encode(), json.dumps(secret)[1:-1].encode(), ascii(secret)[1:-1].encode()) for secret in secrets
    }
    return [secret for secret, ways in spelled.items() if any(way in content for way in ways)]


def hub_bytes(shop) -> bytes:
    """The task hub's file and what lies beside it: the write-ahead log holds what is newest."""
    hub = Path(shop.app.task_hub)
    return b"".join(file.read_bytes() for file in hub.parent.glob(f"{hub.name}*"))


def test_a_mixed_day_leaves_no_secret_anywhere(shop, jobs, bus, azurite, caplog):
    began = datetime.now(UTC) - timedelta(seconds=2)  # a queue message knows whole seconds only
    orders = {fate: fresh(fate) for fate in ("sold", "declined", "refunded", "cancelled", "wrong", "by-queue")}
    mails = {fate: fresh(fate) for fate in ("sent", "refused", "unsent")}
    sandbox = jobs.sandbox
    sandbox.fault({"when": {"customer": orders["declined"]}, "fault": "decline"})
    sandbox.fault({"when": {"customer": orders["refunded"], "operation": "charge"}, "fault": "drop_after"})
    sandbox.fault({"when": {"customer": orders["cancelled"]}, "fault": "throttle"})
    sandbox.fault({"when": {"recipient": f"{orders['sold']}@example.com"}, "fault": "decline"})
    sandbox.fault({"when": {"recipient": f"{mails['refused']}@example.com"}, "fault": "decline"})
    sandbox.fault({"when": {"recipient": f"{mails['unsent']}@example.com"}, "fault": "error"})

    answers, queued = [], []
    with jobs.closed_doors():
        for id in orders.values():
            if id not in (orders["wrong"], orders["by-queue"]):
                answers.append(jobs.submit(id, order(jobs, id)).text)
        answers.append(jobs.submit(orders["wrong"], order(jobs, orders["wrong"], currency=TEXT)).text)
        answers.append(jobs.submit(orders["sold"], order(jobs, orders["sold"], card="tok_other")).text)
        for number, id in enumerate(mails.values()):
            priority = "urgent" if number % 2 else "normal"
            answers.append(jobs.shop.post(
                "/api/jobs/mail", json=mail(id), headers={"Idempotency-Key": id}, params={"priority": priority}
            ).text)  # fmt: skip
        queued += jobs.messages("jobs") + jobs.messages("jobs-urgent")
    assert len(queued) == len(mails)
    jobs.send(orders["by-queue"], order(jobs, orders["by-queue"]))
    jobs.put(f"no job at all, {NAME}: {CARD}")
    shop.drain()
    # Of two customers who move, one comes in time and the other's parcel is on its way.
    bus.send("order-events", *(moved(orders[fate]) for fate in ("cancelled", "sold")))
    shop.drain()
    answers.append(shop.post(f"/api/jobs/order/{orders['cancelled']}/cancel").text)
    shop.advance(minutes=10)
    ended = {fate: jobs.ended(id)["status"] for fate, id in orders.items() if fate != "wrong"}
    ended |= {fate: jobs.ended(id, "mail")["status"] for fate, id in mails.items()}
    assert ended == {
        "sold": "Completed",
        "declined": "Failed",
        "refunded": "Failed",
        "cancelled": "Cancelled",
        "by-queue": "Completed",
        "sent": "Completed",
        "refused": "Failed",
        "unsent": "Failed",
    }
    letters = bus.dead()
    assert sorted((letter.properties.get("jobId", ""), letter.reason) for letter in letters) == sorted([
        ("", "NotAJob"),
        (orders["sold"], "TooLate"),
        (orders["declined"], "CardDeclined"),
        (orders["refunded"], "GatewayUnavailable"),
        (mails["refused"], "MailRefused"),
        (mails["unsent"], "MaxDequeueCountExceeded"),
    ])  # fmt: skip
    listed_letters = shop.get("/api/dead-letters")
    declined = next(each for each in listed_letters.json()["deadLetters"] if each["jobId"] == orders["declined"])
    answers += [listed_letters.text, shop.post(f"/api/dead-letters/{declined['id']}/replay").text]
    shop.drain()
    again = jobs.blobs("dead-letters", "jobs/")
    assert {f"jobs/order/{orders['declined']}.json", f"jobs/mail/{mails['unsent']}.json"} <= set(again)
    ids = [*orders.values(), *mails.values()]
    # The ledger has the jobs of other tests too, more than a page of them.
    listed = shop.get("/api/jobs", params={"top": 1000, "since": began.isoformat()}).text
    assert all(id in listed for id in ids if id != orders["wrong"])
    answers += [jobs.shop.get(f"/api/jobs/order/{id}").text for id in orders.values()]
    answers += [jobs.shop.get(f"/api/jobs/mail/{id}").text for id in mails.values()]
    instance = shop.get(
        f"/runtime/webhooks/durabletask/instances/order-{orders['sold']}",
        params={"showHistory": "true", "showHistoryOutput": "true", "showInput": "true"},
    ).text

    # The mail server's own log is here only because the sandbox shares the test's process.
    lines = [record for record in caplog.records if record.name != "mail.log"]
    places = {
        "the task hub": hub_bytes(shop),
        "Durable's own answer": instance,
        "the queues": "\n".join(queued),
        "the dead letters": repr(letters + bus.dead()),
        "the events": repr([b"".join(message.body) for message in bus.told("audit")]),
        "what starts failed jobs again": repr(again),
        "the answers": "\n".join(answers),
        "the list of jobs": listed,
        "the log": "\n".join(map(caplog.handler.format, lines)),
        **{f"the table {name}": repr(jobs.rows(name)) for name in TABLES},
    }
    assert {place: leaked for place, content in places.items() if (leaked := found_in(content, ids))} == {}
    # So that the search means something: each place was the right one, and the claim has what the others must not.
    assert b"reserve_stock" in places["the task hub"] and orders["refunded"].encode() in places["the task hub"]
    assert "historyEvents" in instance and "charge_payment" in instance
    assert "JobStarted" in places["the log"] and orders["sold"] in places["the log"]
    with BlobServiceClient.from_connection_string(azurite.connection_string) as blobs:
        claim = blobs.get_blob_client("claims", f"order/{orders['sold']}.json").download_blob().readall()
        assert set(found_in(claim, ids)) == {NAME, ADDRESS, CARD, f"{orders['sold']}@example.com"}
        claim = blobs.get_blob_client("claims", f"mail/{mails['sent']}.json").download_blob().readall()
        assert set(found_in(claim, ids)) == {TEXT, SUBJECT, f"{mails['sent']}@example.com"}
        with pytest.raises(Exception, match="not exist"):
            blobs.get_blob_client("claims", f"order/{orders['wrong']}.json").download_blob()


@pytest.mark.parametrize("door", ["http", "jobs"])
def test_a_large_input_travels_as_a_claim_though_it_is_no_secret(jobs, azurite, door):
    id = fresh("large")
    properties = {f"p{number}": "🌙" * 200 for number in range(50)}  # 40 KB of UTF-8
    event = {"event": fresh("large"), "properties": properties}
    if door == "http":
        with jobs.closed_doors():
            assert jobs.submit(id, event, kind="analytics").status_code == 202
            (message,) = jobs.messages("jobs")
        assert json.loads(message)["input"] == {}
        with BlobServiceClient.from_connection_string(azurite.connection_string) as blobs:
            claim = blobs.get_blob_client("claims", f"analytics/{id}.json").download_blob().readall()
        assert json.loads(claim) == event
    else:
        jobs.put(json.dumps({"kind": "analytics", "id": id, "input": event}, ensure_ascii=False))
    jobs.shop.drain()
    assert jobs.ended(id, "analytics")["status"] == "Completed"
    (row,) = jobs.rows("analytics", f"RowKey eq 'analytics-{id}.analytics'")
    assert json.loads(row["properties"]) == properties


def test_a_small_input_that_is_no_secret_travels_itself(jobs):
    event = {"event": "small", "properties": {"n": 1}}
    with jobs.closed_doors():
        jobs.submit(fresh("small"), event, kind="analytics")
        (message,) = jobs.messages("jobs")
    assert json.loads(message)["input"] == event
    jobs.shop.drain()
