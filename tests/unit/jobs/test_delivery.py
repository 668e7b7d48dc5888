"""Deliveries: whoever asked is told how a job has ended, once as far as they can see, whatever fails in between."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import timedelta
from functools import partial
from types import SimpleNamespace
from uuid import uuid4

import pytest
from azure.servicebus.exceptions import ServiceBusConnectionError
from standardwebhooks import Webhook

from jobs import channels, delivery, ledger, letters, outcome_mail, replay, stragglers
from jobs.delivery import Message
from jobs.errors import InvalidInputError, SettingMissingError
from jobs.settings import settings
from tests.unit.jobs.crashes import dies
from tests.unit.jobs.delivering import KEY, NOTHING_ASKED, SECRET
from tests.unit.jobs.fake_bus import Sender, restarted
from tests.unit.jobs.receivers import CLOSES, ENDLESS, HANGS, REDIRECTS

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("configured")]


async def test_a_callback_comes_through_whatever_its_receiver_does_at_first(delivering, receiver, monkeypatch):
    receiver.answers = [429, 500, HANGS, CLOSES, REDIRECTS, 200]
    job = await delivering.submit()
    await delivering.end(job)
    # It would see what it must not see, and open the connection where the guard does not look.
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    began = delivering.now
    assert await delivering.deliver_all() == 6
    assert await delivering.shown(job) == {
        "callback": {"state": "Delivered", "attempts": 6, "at": ledger.now(), "host": "127.0.0.1"}
    }
    assert [got.path for got in receiver.got] == ["/hook"] * 6
    assert len(receiver.accepted) == 1
    assert len({got.headers["webhook-id"] for got in receiver.got}) == 1
    assert not any("cookie" in got.headers for got in receiver.got)
    # What the receiver asked for, and 3 + 9 + 27 + 81 s, up to a tenth longer.
    assert timedelta(seconds=77 + 120) <= delivering.now - began <= timedelta(seconds=77 + 133)
    for got in receiver.got:
        signed = f"{got.headers['webhook-id']}.{got.headers['webhook-timestamp']}.".encode() + got.body
        expected = base64.b64encode(hmac.new(KEY, signed, hashlib.sha256).digest()).decode()
        assert got.headers["webhook-signature"] == f"v1,{expected}"
        said = Webhook(SECRET).verify(got.body, got.headers)
        assert (said["type"], said["data"]["id"], said["data"]["result"]) == ("job.completed", job.id, {"total": 5})
        assert said["timestamp"] == said["data"]["completedAt"]
        assert "deliveries" not in said["data"] and b"very-secret" not in got.body


async def test_410_ends_it_for_good_and_other_refusals_do_not(delivering, receiver):
    receiver.answers = [404, 401, 410, 200]
    job = await delivering.submit()
    await delivering.end(job)
    assert await delivering.deliver_all() == 3
    shown = (await delivering.shown(job))["callback"]
    assert (shown["state"], shown["attempts"], shown["error"]["type"]) == ("Failed", 3, "CallbackGone")
    [letter] = delivering.bus.letters(jobId=job.id)
    assert letter.dead_letter_reason == "CallbackGone"
    assert (await ledger.get(job.kind, job.id)).state == "Completed"


async def test_what_is_given_up_after_a_day_is_a_dead_letter_whose_replay_delivers(delivering, receiver, caplog):
    caplog.set_level("INFO")
    receiver.answers = [500]
    job = await delivering.submit()
    await delivering.end(job)
    began = delivering.now
    tries = await delivering.deliver_all()
    assert timedelta(days=1) <= delivering.now - began < timedelta(days=1, minutes=1)
    assert 12 <= tries <= 16
    shown = (await delivering.shown(job))["callback"]
    assert (shown["state"], shown["attempts"]) == ("Failed", tries)
    assert shown["error"] == {"type": "CallbackFailed", "message": "the receiver answered 500"}
    [letter] = delivering.bus.letters(jobId=job.id)
    found = letters.read("poison-jobs", letter)
    assert (found.letter.source, found.letter.reason) == ("servicebus:deliveries", "CallbackFailed")
    assert (found.letter.kind, found.letter.attempts) == ("order", tries)

    receiver.answers = [503, 200]
    [outcome] = [each async for each in replay.replay([found.id])]
    assert (outcome.error, outcome.where) == (None, "servicebus:deliveries")
    assert await delivering.deliver_all() == 2
    assert (await delivering.shown(job))["callback"]["state"] == "Delivered"
    assert len({got.headers["webhook-id"] for got in receiver.got}) == len(receiver.accepted) == 1
    assert (await ledger.get(job.kind, job.id)).state == "Completed"
    # The URL is in the row, and nowhere else.
    messages = [*delivering.bus.queues["deliveries"].active, *delivering.bus.queues["job-events"].active]
    assert "very-secret" not in caplog.text + str(messages) + str(delivering.durable.started) + str(shown) + str(letter)


@pytest.mark.parametrize("after", [False, True])
async def test_wherever_the_end_of_a_job_dies_it_is_told(delivering, receiver, after):
    """Its activity comes again, or the watchdog finds what is owed."""
    call, had_died, began = 0, True, delivering.now
    while had_died:
        # Other tests list what was submitted since they began, as would be what is submitted in the future.
        call, delivering.now = call + 1, began
        assert call < 40
        job = await delivering.submit(replyTo="replies")
        delivering.bus.crashes.die_at(call, after=after)
        had_died = await dies(partial(delivering.end, job))
        await restarted(delivering.bus)
        if call % 2 or (await ledger.get(job.kind, job.id)).state == "Pending":
            await delivering.end(job)
        delivering.now += timedelta(minutes=2)
        await stragglers.sweep(timedelta(minutes=1), None)
        await delivering.deliver_all()
        assert {each["state"] for each in (await delivering.shown(job)).values()} == {"Delivered"}
        assert len({got.headers["webhook-id"] for got in receiver.got if job.id.encode() in got.body}) == 1
        replies = [each for each in delivering.replies() if job.id.encode() in b"".join(each.body)]
        assert len({each.message_id for each in replies}) == 1
        assert not (await ledger.get(job.kind, job.id)).is_owed
        assert len(set(delivering.events(job))) == 1 or call % 2 == 0
    assert call > 4


@pytest.mark.parametrize("after", [False, True])
async def test_wherever_a_try_dies_another_one_follows(delivering, receiver, after):
    call, had_died, began = 0, True, delivering.now
    while had_died:
        call, delivering.now = call + 1, began
        assert call < 40
        receiver.answers = [500, 200]
        job = await delivering.submit()
        await delivering.end(job)
        [message] = delivering.waiting()
        delivering.bus.crashes.die_at(call, after=after)
        had_died = await dies(partial(delivering.deliver, message))
        await restarted(delivering.bus)
        await delivering.deliver_all()
        got = [each for each in receiver.got if job.id.encode() in each.body]
        assert len({each.headers["webhook-id"] for each in got}) == 1
        assert [each.answer for each in got][:2] == [500, 200]
        assert (await delivering.shown(job))["callback"]["state"] == "Delivered"
    assert call > 3


async def test_a_worker_that_dies_after_the_request_makes_it_once_more_under_the_same_id(delivering, receiver):
    job = await delivering.submit()
    await delivering.end(job)
    receiver.before_answering = lambda: setattr(delivering.bus.crashes, "is_dead", True)
    [message] = delivering.waiting()
    assert await dies(lambda: delivering.deliver(message))
    receiver.before_answering = lambda: None
    await restarted(delivering.bus)
    await delivering.deliver_all()
    first, second = receiver.got
    assert (first.headers["webhook-id"], first.body) == (second.headers["webhook-id"], second.body)
    assert (await delivering.shown(job))["callback"]["state"] == "Delivered"


async def test_a_bus_that_is_away_at_the_end_is_told_later_and_the_event_with_it(delivering, receiver, monkeypatch):
    job = await delivering.submit(replyTo="replies")
    with monkeypatch.context() as patched:

        async def away(*_):
            raise ServiceBusConnectionError(message="connection lost")

        patched.setattr(Sender, "send_messages", away)
        await delivering.end(job)
        assert (await ledger.get(job.kind, job.id)).state == "Completed"
    assert (delivering.waiting(), delivering.events(job)) == ([], [])
    assert set(await delivering.shown(job)) == {"callback", "reply", "event"}
    delivering.now += timedelta(minutes=2)
    swept = await stragglers.sweep(timedelta(minutes=1), None)
    assert swept.finisher.handed_over >= 1
    await delivering.deliver_all()
    assert {each["state"] for each in (await delivering.shown(job)).values()} == {"Delivered"}
    assert (len(receiver.accepted), len(delivering.replies()), len(delivering.events(job))) == (1, 1, 1)


async def test_a_reply_comes_once_though_the_job_ends_twice(delivering):
    asked = {"replyCorrelationId": "m-1", "replySession": "s-1", "replyTo": "replies", "callbackUrl": None}
    job = await delivering.submit(**asked)
    await delivering.end(job)
    await delivering.end(job)
    await delivering.deliver_all()
    [reply] = delivering.replies()
    assert (reply.correlation_id, reply.session_id) == ("m-1", "s-1")
    properties = {name.decode(): value.decode() for name, value in reply.application_properties.items()}
    assert properties == {"kind": "order", "id": job.id, "status": "Completed"}
    assert json.loads(b"".join(reply.body))["result"] == {"total": 5}
    assert len(set(delivering.events(job))) == 1

    other = await delivering.submit(replyTo="replies", callbackUrl=None, correlationId="c-9")
    await delivering.end(other)
    await delivering.deliver_all()
    assert (delivering.replies()[1].correlation_id, delivering.replies()[1].session_id) == ("c-9", None)


async def test_a_try_that_says_late_how_it_went_does_not_undo_the_next(delivering, receiver, monkeypatch):
    receiver.answers = [500, 200]
    job = await delivering.submit()
    await delivering.end(job)
    enter = channels.enter

    async def be_late(entry, said, **more):
        if said.get("callback", {}).get("attempts") == 1:
            [second] = [message for message in delivering.waiting() if message.message_id.endswith(".2")]
            await delivering.deliver(second)
        await enter(entry, said, **more)

    monkeypatch.setattr(channels, "enter", be_late)
    [first] = delivering.waiting()
    await delivering.deliver(first)
    shown = (await delivering.shown(job))["callback"]
    assert (shown["state"], shown["attempts"], len(receiver.got)) == ("Delivered", 2, 2)


async def test_a_try_that_dies_at_its_end_begins_no_second_chain(delivering, receiver, monkeypatch):
    receiver.answers = [500]
    job = await delivering.submit()
    await delivering.end(job)
    [first] = delivering.waiting()

    async def die(*_, **__):
        raise RuntimeError

    with monkeypatch.context() as patched, pytest.raises(RuntimeError):
        patched.setattr(channels, "enter", die)
        await delivering.deliver(first)
    await delivering.deliver(first)
    assert [message.message_id for message in delivering.waiting()] == [f"{first.message_id}.2"]


async def test_messages_that_come_twice_are_one_delivery(delivering, receiver):
    receiver.answers = [500, 200]
    job = await delivering.submit()
    await delivering.end(job)
    [message] = delivering.waiting()
    await delivering.deliver(message)
    await delivering.deliver(message)
    assert (len(receiver.got), len(delivering.waiting())) == (1, 1)
    await delivering.deliver_all()
    await delivering.deliver(message)
    assert len(receiver.got) == 2


async def test_a_job_that_is_run_again_is_told_of_again_under_another_id(delivering, receiver):
    job = await delivering.submit()
    await delivering.end(job, "Failed", error={"type": "OutOfStock", "message": "none left", "retryable": False})
    [of_first_end] = delivering.waiting()
    [letter] = delivering.bus.letters(jobId=job.id)
    await delivering.deliver_all()
    [outcome] = [each async for each in replay.replay([f"poison-jobs-{letter.sequence_number}"])]
    assert outcome.error is None
    again = (await ledger.get(job.kind, job.id)).job
    assert await delivering.shown(again) == {"callback": {"state": "Pending", "attempts": 0, "host": "127.0.0.1"}}
    # What is late of the first end is not told as if it were the second.
    await delivering.deliver(of_first_end)
    assert len(receiver.got) == 1
    delivering.now += timedelta(seconds=5)
    await delivering.end(again)
    await delivering.deliver_all()
    kinds = [json.loads(got.body)["type"] for got in receiver.got]
    assert kinds == ["job.failed", "job.completed"]
    assert len({got.headers["webhook-id"] for got in receiver.got}) == 2


async def test_an_endless_answer_is_not_read(delivering, receiver):
    receiver.answers = [ENDLESS]
    job = await delivering.submit()
    await delivering.end(job)
    assert await delivering.deliver_all() == 1
    assert (await delivering.shown(job))["callback"]["state"] == "Delivered"


async def test_the_first_that_was_asked_for_counts(delivering, receiver):
    first = await delivering.submit()
    await delivering.submit(id=first.id, callbackUrl=receiver.url + "&second")
    await delivering.submit(id=first.id, callbackUrl=None, replyTo="replies")
    assert set(await delivering.shown(first)) == {"callback"}
    assert (await ledger.get(first.kind, first.id)).callback_url == receiver.url


async def test_a_job_that_asked_for_nothing_costs_one_request_to_storage_at_its_end(delivering, crashes):
    job = await delivering.submit(**NOTHING_ASKED)
    run = await ledger.begin(job, runner="r")
    crashes.calls.clear()
    await delivering.end(job, run=vars(run))
    assert [call.split()[0] for call in crashes.calls if call != "send"] == ["PATCH"]
    assert len(delivering.events(job)) == 1 and delivering.waiting() == []


async def test_a_name_that_leads_to_a_private_address_is_refused_for_good(delivering, receiver, monkeypatch):
    job = await delivering.submit(callbackUrl=f"https://localhost:{receiver.port}/hook")
    await delivering.end(job)
    assert await delivering.deliver_all() == 1
    shown = (await delivering.shown(job))["callback"]
    assert (shown["state"], shown["host"], shown["error"]["type"]) == ("Failed", "localhost", "CallbackRefused")
    assert receiver.got == []


@pytest.mark.parametrize(
    "url", ["http://example.com/", "https://10.0.0.1/", "https://a:b@example.com/", f"https://x.example/{'x' * 2000}"]
)
async def test_a_url_that_is_wrong_is_refused_when_it_is_submitted(delivering, url):
    with pytest.raises(InvalidInputError, match="callbackUrl: must") as caught:
        await delivering.submit(callbackUrl=url)
    assert caught.value.fields[0]["field"] == "callbackUrl"
    assert "example" not in str(caught.value)


@pytest.mark.parametrize(
    ("setting", "value"), [("WEBHOOK_SECRET", ""), ("WEBHOOK_SECRET", "whsec_!"), ("AzureWebJobsServiceBus", "")]
)
async def test_what_the_app_cannot_do_without_is_named(delivering, monkeypatch, setting, value):
    monkeypatch.setenv(setting, value)
    settings.cache_clear()
    with pytest.raises(SettingMissingError, match=setting):
        await delivering.submit()


async def test_a_kind_may_have_its_outcome_mailed(delivering, monkeypatch):
    mails = []

    async def send(to, subject, text, *, key, correlation_id):
        mails.append(SimpleNamespace(to=to, subject=subject, text=text, key=key))

    monkeypatch.setattr(outcome_mail.mail, "deliver", send)
    file = {"name": "orders.csv", "etag": '"0x1"'}
    unasked = await delivering.submit(kind="order-import", input=file, **NOTHING_ASKED)
    await delivering.end(unasked)
    monkeypatch.setenv("REPORT_MAIL_TO", "owner@example.com")
    settings.cache_clear()
    job = await delivering.submit(kind="order-import", input=file, **NOTHING_ASKED)
    result = {"rows": 3, "bad": 1, "report": {"blob": f"import-reports/{job.id}/bad-rows.csv"}}
    await delivering.end(job, result=result)
    await delivering.deliver_all()
    [mail] = mails
    assert (mail.to, mail.subject) == ("owner@example.com", f"order-import {job.id}: Completed")
    assert "bad: 1" in mail.text and f"import-reports/{job.id}/bad-rows.csv?" in mail.text
    assert (await delivering.shown(job))["mail"]["state"] == "Delivered"


@pytest.mark.parametrize("body", [b"", b"no", b"[]", b'{"kind": "order"}', b'{"kind": 1, "channel": "sms"}'])
async def test_what_is_none_of_the_apps_own_messages_is_buried(delivering, body):
    id = uuid4().hex
    await delivery.receive(body, Message(id, 1, is_last=False))
    [letter] = delivering.bus.letters(messageId=id)
    assert letter.dead_letter_reason == "NotAJob"


async def test_a_message_about_a_job_that_is_gone_or_did_not_ask_is_ignored(delivering, receiver):
    job = await delivering.submit(**NOTHING_ASKED)
    await delivering.end(job)
    end = (await ledger.get(job.kind, job.id)).ending
    for id in (job.id, "nobody"):
        said = {"kind": "order", "id": id, "channel": "callback", "end": end}
        await delivery.receive(json.dumps(said).encode(), Message("m-1", 1, is_last=False))
    assert (receiver.got, delivering.waiting()) == ([], [])
