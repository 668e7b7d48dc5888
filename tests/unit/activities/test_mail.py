"""Mail against the sandbox's SMTP server."""

from __future__ import annotations

import socket

import pytest

from activities import mail
from activities.mail import MailRefusedError, MailServerUnavailableError
from jobs.settings import settings
from tests.orders import order
from tests.unit.activities.calls import call, claimed

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("storage")]

MAIL = {"to": "ada@example.com", "subject": "Grüße", "text": "Good evening.\n"}


async def test_a_mail_arrives(world):
    await mail.send(call("mail", MAIL))
    [arrived] = world.mailbox("ada@example.com")["messages"]
    assert (arrived["from"], arrived["subject"]) == ("shop@nightshift.example", "Grüße")
    assert arrived["text"].strip() == "Good evening."


async def test_a_repeated_mail_is_known_to_be_the_same(world):
    sending = call("mail", MAIL)
    await mail.send(sending)
    await mail.send(sending)
    assert (len(world.mailbox()["messages"]), world.mailbox()["duplicates"]) == (1, 1)


async def test_a_confirmation_names_what_was_bought(world):
    confirming = await claimed("mail_confirmation", order("c-1", quantity=2), {"total": 2050, "currency": "EUR"})
    await mail.confirm(confirming)
    [arrived] = world.mailbox("c-1@example.com")["messages"]
    assert confirming.job.id in arrived["subject"]
    assert "Ada Lovelace" in arrived["text"]
    assert "2 x MUG" in arrived["text"]
    assert "20.50 EUR" in arrived["text"]


@pytest.mark.parametrize(("fault", "error"), [("error", MailServerUnavailableError), ("decline", MailRefusedError)])
async def test_what_an_answer_means(world, fault, error):
    world.fault({"when": {"operation": "mail"}, "fault": fault})
    with pytest.raises(error) as caught:
        await mail.send(call("mail", MAIL))
    assert "ada" not in str(caught.value)


async def test_no_server_is_worth_another_try(world, monkeypatch):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setenv("SMTP_PORT", str(unused.getsockname()[1]))
        settings.cache_clear()
        with pytest.raises(MailServerUnavailableError, match="SMTP_HOST"):
            await mail.send(call("mail", MAIL))
