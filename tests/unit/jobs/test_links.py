"""Links to the Service Bus: opened once, for one task at a time, and a broken one is not lent again."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from azure.servicebus.exceptions import ServiceBusConnectionError

from jobs import dead_letters
from jobs.clients import clients
from jobs.errors import NotAJobError, ServiceBusUnavailableError, SettingMissingError
from jobs.links import Link, links
from jobs.mover import finish_all
from jobs.settings import settings

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("storage")]

LINK = Link("jobs", sends=True)


class Sender:
    """Counts how it is used."""

    made: list[Sender] = []

    def __init__(self) -> None:
        self.made.append(self)
        self.opened = 0
        self.closed = asyncio.Event()
        self.users = 0

    async def __aenter__(self) -> Sender:
        self.opened += 1
        return self

    async def close(self) -> None:
        self.closed.set()

    async def use(self) -> None:
        self.users += 1
        assert self.users == 1
        await asyncio.sleep(0)
        self.users -= 1


@pytest.fixture
async def made(monkeypatch) -> list[Sender]:
    """The senders that were made."""
    monkeypatch.setattr(Sender, "made", [])
    monkeypatch.setattr(Link, "make", lambda link: Sender())
    return Sender.made


async def lend(act: Any = None) -> None:
    async with links().lent(LINK) as sender:
        await sender.use()
        if act:
            act()


def fail() -> None:
    raise ServiceBusConnectionError(message="connection lost")


async def test_many_tasks_have_one_after_the_other(made):
    await asyncio.gather(*(lend() for _ in range(10)))
    assert [sender.opened for sender in made] == [1]


async def test_one_that_failed_is_closed_and_those_who_wait_have_a_new_one(made):
    results = await asyncio.gather(lend(fail), lend(), lend(), return_exceptions=True)
    assert [type(result) for result in results] == [ServiceBusUnavailableError, type(None), type(None)]
    assert len(made) == 2
    await made[0].closed.wait()
    assert not made[1].closed.is_set()


async def test_one_whose_user_was_cancelled_is_closed(made):
    async with links().lent(LINK):
        waiting = asyncio.create_task(lend())
        await asyncio.sleep(0)
    await waiting
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01), links().lent(LINK):
            await asyncio.Event().wait()
    await made[0].closed.wait()
    await lend()
    assert len(made) == 2


async def test_they_are_closed_with_the_clients(made):
    await lend()
    await clients().close()
    await made[0].closed.wait()
    await lend()
    assert len(made) == 2


async def test_what_takes_has_given_back_when_the_clients_are_closed(made, monkeypatch):
    async def close(sender: Sender) -> None:
        await asyncio.sleep(0.01)
        sender.closed.set()

    monkeypatch.setattr(Sender, "close", close)
    for link in (taker := Link("jobs", dead_letters=True, takes=True)), Link("replies", takes=True):
        async with links().lent(link):
            pass
    await links().drop(taker)
    await clients().close()
    assert [sender.closed.is_set() for sender in made] == [True, True]


async def test_without_a_setting_it_is_named(monkeypatch):
    monkeypatch.delenv("AzureWebJobsServiceBus", raising=False)
    settings.cache_clear()
    for ask in (finish_all, lambda: dead_letters.get("jobs-1"), lambda: anext(dead_letters.find())):
        with pytest.raises(SettingMissingError, match="AzureWebJobsServiceBus"):
            await ask()


async def test_a_bus_that_is_away_is_told_with_a_remedy(monkeypatch):
    address = "Endpoint=sb://127.0.0.1:1;SharedAccessKeyName=k;SharedAccessKey=a2V5;UseDevelopmentEmulator=true;"
    monkeypatch.setenv("AzureWebJobsServiceBus", address)
    monkeypatch.setattr("jobs.clients._BUS_RETRIES", {"retry_total": 0})
    settings.cache_clear()
    buried = (dead_letters.bury_message("storage:jobs", f"m-{n}", b"", NotAJobError("no")) for n in range(3))
    for error in await asyncio.gather(*buried, return_exceptions=True):
        assert isinstance(error, ServiceBusUnavailableError) and error.retryable
        assert "make run" in str(error) and "ServiceBusConnectionError" in str(error)
