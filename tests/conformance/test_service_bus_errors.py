"""What a client is told when it asks for what there is not, or with the wrong key; and who may come in."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import time
from urllib.parse import quote

import pytest
from azure.core.credentials import AccessToken, AzureNamedKeyCredential, AzureSasCredential
from azure.servicebus import NEXT_AVAILABLE_SESSION, ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient
from azure.servicebus.exceptions import (
    MessagingEntityDisabledError,
    MessagingEntityNotFoundError,
    ServiceBusAuthenticationError,
    ServiceBusAuthorizationError,
    ServiceBusError,
)
from azure.servicebus.management import EntityStatus, ServiceBusAdministrationClient

from devhost.servicebus.plain_http import PlainHttpTransport
from tests.conformance.service_bus import DEAD_LETTER, bodies

pytestmark = pytest.mark.anyio

QUEUES = [{"Name": name} for name in ("no-sending", "no-receiving", "closed", "short-lived")]
TOPICS = [{"Name": "events", "Subscriptions": [{"Name": "all"}]}]
DENIED = (ServiceBusAuthenticationError, ServiceBusAuthorizationError)


def parts(connection_string: str) -> dict[str, str]:
    return dict(part.split("=", 1) for part in connection_string.rstrip(";").split(";"))


@pytest.fixture
def namespace(bus) -> str:
    return parts(bus.connection_string)["Endpoint"].removeprefix("sb://").rstrip("/")


@pytest.fixture
def key(bus) -> str:
    return parts(bus.connection_string)["SharedAccessKey"]


@pytest.fixture
def administration(bus_process):
    connection_string, transport = bus_process.admin_connection_string, PlainHttpTransport()
    with ServiceBusAdministrationClient.from_connection_string(connection_string, transport=transport) as client:
        yield client


def signature(audience: str, key: str, *, expires_in: float = 3600, name: str = "RootManageSharedAccessKey") -> str:
    """A SAS token, made by hand as the documentation tells."""
    audience, expiry = quote(audience, safe=""), int(time.time() + expires_in)
    digest = hmac.new(key.encode(), f"{audience}\n{expiry}".encode(), hashlib.sha256).digest()
    return f"SharedAccessSignature sr={audience}&sig={quote(base64.b64encode(digest))}&se={expiry}&skn={name}"


async def sent(client: ServiceBusClient, queue: str) -> None:
    async with client, client.get_queue_sender(queue) as sender:
        await sender.send_messages(ServiceBusMessage("in"))


async def test_an_entity_that_does_not_exist(both):
    errors = await asyncio.gather(
        both.sender("nowhere"),
        both.receiver("nowhere"),
        both.receiver("nowhere", sub_queue=DEAD_LETTER),
        both.receiver("nowhere", session_id="s"),
        both.receiver("nowhere", session_id=NEXT_AVAILABLE_SESSION),
        both.receiver("events/nobody"),
        both.receiver("nowhere/all"),
        return_exceptions=True,
    )
    assert [type(error) for error in errors] == [MessagingEntityNotFoundError] * 7


async def test_the_error_names_the_entity(bus):
    with pytest.raises(MessagingEntityNotFoundError, match="no-such-queue"):
        await bus.sender("no-such-queue")


async def test_sessions_of_an_entity_that_does_not_exist_or_has_none(bus):
    for queue in ("nowhere", await bus.queue()):
        with pytest.raises(ServiceBusError):
            _ = [id_ async for id_ in bus.client.list_queue_sessions(queue)]


async def test_names_ignore_case(bus):
    queue = await bus.queue()
    await bus.send(queue.upper(), "x")
    assert bodies(await bus.receive(queue.title())) == ["x"]


async def test_a_wrong_key_is_refused(bus):
    wrong = bus.connection_string.replace("SharedAccessKey=", "SharedAccessKey=not")
    with pytest.raises(DENIED):
        await sent(ServiceBusClient.from_connection_string(wrong, retry_total=0), await bus.queue())


async def test_a_wrong_key_is_refused_to_a_receiver(bus):
    wrong = bus.connection_string.replace("SharedAccessKey=", "SharedAccessKey=not")
    async with ServiceBusClient.from_connection_string(wrong, retry_total=0) as client:
        with pytest.raises(DENIED):
            await client.get_queue_receiver(await bus.queue()).peek_messages()


async def test_a_signature_of_ones_own_is_taken(bus, namespace, key):
    queue = await bus.queue()
    token = signature(f"sb://{namespace}/{queue}", key)
    await sent(ServiceBusClient(namespace, AzureSasCredential(token), use_tls=False, retry_total=0), queue)
    given = f"Endpoint=sb://{namespace};SharedAccessSignature={token};UseDevelopmentEmulator=true;"
    await sent(ServiceBusClient.from_connection_string(given, retry_total=0), queue)
    named = AzureNamedKeyCredential("RootManageSharedAccessKey", key)
    await sent(ServiceBusClient(namespace, named, use_tls=False, retry_total=0), queue)
    assert bodies(await bus.peek(queue)) == ["in", "in", "in"]


async def test_a_signature_that_is_over_or_forged_is_refused(bus, namespace, key):
    queue = await bus.queue()
    for token in (
        signature(f"sb://{namespace}/{queue}", key, expires_in=-60),
        signature(f"sb://{namespace}/{queue}", key).replace("se=", "se=9"),
    ):
        with pytest.raises(DENIED):
            client = ServiceBusClient(namespace, AzureSasCredential(token), use_tls=False, retry_total=0)
            await sent(client, queue)
    assert await bus.peek(queue) == []


async def test_a_token_of_entra_id_is_refused(bus, namespace):
    class Entra:
        async def get_token(self, *scopes, **options) -> AccessToken:
            return AccessToken("eyJhbGciOiJub25lIn0.e30.", int(time.time()) + 3600)

        async def close(self) -> None:
            pass

    with pytest.raises(DENIED):
        await sent(ServiceBusClient(namespace, Entra(), use_tls=False, retry_total=0), await bus.queue())


async def test_the_connection_string_may_name_the_entity(bus):
    queue = await bus.queue()
    client = ServiceBusClient.from_connection_string(f"{bus.connection_string}EntityPath={queue}", retry_total=0)
    await sent(client, queue)
    assert bodies(await bus.peek(queue)) == ["in"]


async def test_localhost_is_as_good_as_its_address(bus):
    queue = await bus.queue()
    by_name = bus.connection_string.replace("127.0.0.1", "localhost")
    await sent(ServiceBusClient.from_connection_string(by_name, retry_total=0), queue)
    assert bodies(await bus.peek(queue)) == ["in"]


def set_status(administration: ServiceBusAdministrationClient, queue: str, status: EntityStatus) -> None:
    properties = administration.get_queue(queue)
    properties.status = status
    administration.update_queue(properties)


async def test_an_entity_may_refuse_to_send_to_receive_or_both(bus, administration):
    set_status(administration, "no-sending", EntityStatus.SEND_DISABLED)
    set_status(administration, "no-receiving", EntityStatus.RECEIVE_DISABLED)
    set_status(administration, "closed", EntityStatus.DISABLED)
    for refused in (
        bus.send("no-sending", "x"),
        bus.receiver("no-receiving"),
        bus.send("closed", "x"),
        bus.receiver("closed"),
    ):
        with pytest.raises(MessagingEntityDisabledError):
            await refused
    await bus.send("no-receiving", "x")
    assert await bus.receive("no-sending", wait=0.2) == []
    set_status(administration, "no-receiving", EntityStatus.ACTIVE)
    assert bodies(await bus.receive("no-receiving")) == ["x"]


async def test_an_entity_that_is_deleted_under_its_clients(bus, administration):
    sender, receiver = await bus.sender("short-lived"), await bus.receiver("short-lived")
    administration.delete_queue("short-lived")
    with pytest.raises(ServiceBusError):
        await receiver.receive_messages(max_wait_time=2)
    with pytest.raises(ServiceBusError):
        await sender.send_messages(ServiceBusMessage("x"))
    with pytest.raises(MessagingEntityNotFoundError):
        await bus.receiver("short-lived")


async def test_one_clients_error_is_no_others(bus):
    queue = await bus.queue()
    sender = await bus.sender(queue)
    with pytest.raises(MessagingEntityNotFoundError):
        await bus.sender("nowhere")
    await sender.send_messages(ServiceBusMessage("x"))
    assert bodies(await bus.receive(queue)) == ["x"]
