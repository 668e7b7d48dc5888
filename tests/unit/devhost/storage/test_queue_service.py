"""The lean queue client against a service that answers, refuses, fails and goes away."""

from __future__ import annotations

from contextlib import asynccontextmanager
from urllib.parse import parse_qs

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from devhost.storage.connections import DEVELOPMENT_KEY, Account
from devhost.storage.errors import StorageError, StorageUnavailableError
from devhost.storage.queue_service import QueueService
from devhost.storage.service import API_VERSION

pytestmark = pytest.mark.anyio

NOT_FOUND = (
    "<?xml version='1.0'?><Error><Code>QueueNotFound</Code><Message>No such queue.\nRequestId:1</Message></Error>"
)


def refusal(status: int, code: str, body: str = "") -> web.Response:
    return web.Response(status=status, text=body, headers={"x-ms-error-code": code})


@asynccontextmanager
async def service(*answers: web.Response, sas: str = ""):
    """A queue service whose server gives these answers in turn, and the requests that it saw."""
    seen: list[web.Request] = []
    waiting = list(answers)

    async def answer(request: web.Request) -> web.Response:
        await request.read()
        seen.append(request)
        return waiting.pop(0)

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", answer)
    async with TestServer(app) as server:
        account = Account("shop", "" if sas else DEVELOPMENT_KEY, sas, "", str(server.make_url("/shop")), "")
        client = QueueService(account)
        yield client, seen
        await client.close()


async def test_requests_carry_a_signature_by_the_library_and_the_version():
    async with service(web.Response(status=201), web.Response(status=204)) as (client, seen):
        await client.queue("orders").create()
        await client.queue("orders").create()
        assert [request.method + request.path for request in seen] == ["PUT/shop/orders"] * 2
        assert seen[0].headers["x-ms-version"] == API_VERSION
        signature = parse_qs(seen[0].query_string)
        assert signature["ss"] == ["q"] and signature["sig"]
        assert seen[1].query_string == seen[0].query_string, "signing is expensive: once is enough"


async def test_a_connections_own_signature_is_used_as_it_is():
    async with service(web.Response(), sas="sv=1&sig=a%2Bb%3D") as (client, seen):
        await client.queue("orders").create()
        assert seen[0].rel_url.raw_query_string == "sv=1&sig=a%2Bb%3D"


async def test_a_refusal_tells_status_code_and_message():
    async with service(refusal(404, "QueueNotFound", NOT_FOUND)) as (client, _):
        with pytest.raises(StorageError, match="404 QueueNotFound: No such queue.$") as caught:
            await client.queue("orders").receive(1, 30)
        assert (caught.value.status, caught.value.code) == (404, "QueueNotFound")


@pytest.mark.parametrize("status", [500, 503, 429])
async def test_a_service_that_cannot_serve_is_unavailable(status):
    async with service(refusal(status, "ServerBusy")) as (client, _):
        with pytest.raises(StorageUnavailableError, match=f"{status} ServerBusy"):
            await client.queue("orders").peek()


async def test_patience_bridges_a_short_failure():
    async with service(refusal(503, "ServerBusy"), web.Response(status=201)) as (client, seen):
        await client.queue("orders").put("x", patience=5)
        assert len(seen) == 2


async def test_a_service_that_is_not_there_is_unavailable_and_the_remedy_is_named(free_tcp_port):
    endpoint = f"http://127.0.0.1:{free_tcp_port}/shop"
    client = QueueService(Account("shop", DEVELOPMENT_KEY, "", "", endpoint, ""))
    with pytest.raises(StorageUnavailableError, match="start Azurite"):
        await client.queue("orders").create()
    await client.close()


async def test_put_creates_a_missing_queue_only_if_asked():
    missing = refusal(404, "QueueNotFound")
    async with service(missing, web.Response(status=201), web.Response(status=201)) as (client, seen):
        await client.queue("orders").put("a & <b>", create=True)
        assert [r.method + r.path for r in seen] == [
            "POST/shop/orders/messages",
            "PUT/shop/orders",
            "POST/shop/orders/messages",
        ]
        assert "<MessageText>a &amp; &lt;b&gt;</MessageText>" in await seen[2].text()
    async with service(refusal(404, "QueueNotFound")) as (client, _):
        with pytest.raises(StorageError, match="QueueNotFound"):
            await client.queue("orders").put("x")


async def test_a_put_wakes_every_watcher_and_no_one_who_left():
    async with service(web.Response(status=201)) as (client, _):
        queue = client.queue("orders")
        first, second, left = queue.watch(), queue.watch(), queue.watch()
        queue.unwatch(left)
        await queue.put("x")
        assert first.is_set() and second.is_set() and not left.is_set()


async def test_a_failed_put_wakes_nobody():
    async with service(refusal(413, "RequestBodyTooLarge")) as (client, _):
        watcher = client.queue("orders").watch()
        with pytest.raises(StorageError, match="RequestBodyTooLarge"):
            await client.queue("orders").put("x" * 70_000)
        assert not watcher.is_set()
