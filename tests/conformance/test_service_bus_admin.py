"""ServiceBusAdministrationClient, sync and aio, on a local bus: entities are made, shown, changed and deleted."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.core.async_paging import AsyncItemPaged
from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    ResourceExistsError,
    ResourceNotFoundError,
)
from azure.core.paging import ItemPaged
from azure.servicebus import ServiceBusClient, ServiceBusMessage
from azure.servicebus.aio.management import ServiceBusAdministrationClient as AioClient
from azure.servicebus.management import (
    CorrelationRuleFilter,
    FalseRuleFilter,
    ServiceBusAdministrationClient,
    SqlRuleAction,
    SqlRuleFilter,
    TrueRuleFilter,
)

from devhost.servicebus.descriptions import QueueDescription
from devhost.servicebus.in_process import InProcessServiceBus
from devhost.servicebus.plain_http import AioPlainHttpTransport, PlainHttpTransport

pytestmark = pytest.mark.anyio

FOR_EVER = timedelta(days=10_675_199)


class Admin:
    """Either client; every operation is awaited, and lists are read to their end."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        async def call(*arguments: Any, **named: Any) -> Any:
            operation = getattr(self._client, name)
            if isinstance(self._client, ServiceBusAdministrationClient):
                return await asyncio.to_thread(lambda: _read(operation(*arguments, **named)))
            result = operation(*arguments, **named)
            return [item async for item in result] if isinstance(result, AsyncItemPaged) else await result

        return call


def _read(result: Any) -> Any:
    return list(result) if isinstance(result, ItemPaged) else result


@pytest.fixture(scope="module")
def bus() -> Iterator[InProcessServiceBus]:
    with InProcessServiceBus() as running:
        yield running


@pytest.fixture(params=["sync", "aio"])
async def admin(bus, request) -> AsyncIterator[Admin]:
    text = bus.admin_connection_string
    if request.param == "aio":
        async with AioClient.from_connection_string(text, transport=AioPlainHttpTransport()) as client:
            yield Admin(client)
    else:
        with ServiceBusAdministrationClient.from_connection_string(text, transport=PlainHttpTransport()) as client:
            yield Admin(client)


@pytest.fixture
def name() -> str:
    return f"n{uuid.uuid4().hex[:8]}"


async def test_a_queue_has_the_cloud_s_defaults(admin, name):
    queue = await admin.create_queue(name)
    assert queue.name == name
    assert queue.lock_duration == timedelta(minutes=1)
    assert queue.max_delivery_count == 10
    assert queue.default_message_time_to_live.days == FOR_EVER.days
    assert queue.auto_delete_on_idle.days == FOR_EVER.days
    assert queue.duplicate_detection_history_time_window == timedelta(minutes=10)
    assert (queue.requires_session, queue.requires_duplicate_detection) == (False, False)
    assert queue.dead_lettering_on_message_expiration is False
    assert (queue.status, queue.availability_status) == ("Active", "Available")
    assert (queue.forward_to, queue.forward_dead_lettered_messages_to, queue.user_metadata) == (None, None, None)
    assert queue.max_message_size_in_kilobytes == 256


async def test_a_queue_keeps_what_it_was_created_with(admin, name):
    target = f"{name}-target"
    await admin.create_queue(target)
    given = {
        "lock_duration": timedelta(seconds=7),
        "max_delivery_count": 3,
        "default_message_time_to_live": timedelta(minutes=3),
        "duplicate_detection_history_time_window": timedelta(minutes=4),
        "requires_duplicate_detection": True,
        "requires_session": True,
        "dead_lettering_on_message_expiration": True,
        "auto_delete_on_idle": timedelta(days=5),
        "max_size_in_megabytes": 2048,
        "enable_batched_operations": False,
        "user_metadata": "<a & b>",
        "max_message_size_in_kilobytes": 1024,
    }
    await admin.create_queue(name, forward_dead_lettered_messages_to=target, **given)
    queue = await admin.get_queue(name)
    assert {key: queue[key] for key in given} == given
    assert queue.forward_dead_lettered_messages_to.endswith(f"/{target}")


async def test_a_queue_is_changed_and_deleted(admin, name):
    queue = await admin.create_queue(name, lock_duration="PT10S")
    queue.lock_duration = timedelta(seconds=20)
    queue.status = "SendDisabled"
    await admin.update_queue(queue)
    changed = await admin.get_queue(name)
    assert (changed.lock_duration, changed.status) == (timedelta(seconds=20), "SendDisabled")
    await admin.update_queue(changed, max_delivery_count=2, status="Active")
    changed = await admin.get_queue(name)
    assert (changed.max_delivery_count, changed.lock_duration, changed.status) == (2, timedelta(seconds=20), "Active")
    await admin.delete_queue(name)
    with pytest.raises(ResourceNotFoundError):
        await admin.get_queue(name)


async def test_forwarding_is_set_up_and_ended(admin, name, bus):
    await admin.create_queue(f"{name}/target")
    queue = await admin.create_queue(name, forward_to=f"{name}/target")
    assert queue.forward_to == f"sb://127.0.0.1:{bus.admin_url.rpartition(':')[2]}/{name}/target"
    await admin.update_queue(queue)  # with the address as it was shown
    queue.forward_to = None
    await admin.update_queue(queue)
    assert (await admin.get_queue(name)).forward_to is None


async def test_counts_of_a_queue(admin, name, bus):
    before = datetime.now(UTC) - timedelta(seconds=1)
    await admin.create_queue(name)
    with ServiceBusClient.from_connection_string(bus.connection_string) as client:
        with client.get_queue_sender(name) as sender:
            sender.send_messages([ServiceBusMessage("x" * 100) for _ in range(3)])
            sender.schedule_messages(ServiceBusMessage("later"), datetime.now(UTC) + timedelta(hours=1))
        with client.get_queue_receiver(name) as receiver:
            receiver.dead_letter_message(receiver.receive_messages(1)[0])
    found = await admin.get_queue_runtime_properties(name)
    assert found.active_message_count == 2
    assert found.dead_letter_message_count == 1
    assert found.scheduled_message_count == 1
    assert (found.transfer_message_count, found.transfer_dead_letter_message_count) == (0, 0)
    assert found.total_message_count == 4
    assert found.size_in_bytes > 300
    assert before < found.created_at_utc <= found.updated_at_utc <= found.accessed_at_utc < datetime.now(UTC)
    listed = {each.name: each for each in await admin.list_queues_runtime_properties()}
    assert listed[name].active_message_count == 2


async def test_topics(admin, name):
    topic = await admin.create_topic(name, default_message_time_to_live="PT5M", requires_duplicate_detection=True)
    assert topic.default_message_time_to_live == timedelta(minutes=5)
    topic.user_metadata = "of the shop"
    await admin.update_topic(topic)
    found = await admin.get_topic(name)
    assert (found.user_metadata, found.requires_duplicate_detection) == ("of the shop", True)
    assert name in [each.name for each in await admin.list_topics()]
    await admin.create_subscription(name, "s")
    runtime = await admin.get_topic_runtime_properties(name)
    assert (runtime.subscription_count, runtime.scheduled_message_count) == (1, 0)
    assert name in [each.name for each in await admin.list_topics_runtime_properties()]
    await admin.delete_topic(name)
    with pytest.raises(ResourceNotFoundError):
        await admin.get_subscription(name, "s")


async def test_subscriptions(admin, name):
    await admin.create_topic(name)
    made = await admin.create_subscription(
        name, "s", lock_duration="PT9S", requires_session=True, max_delivery_count=4, user_metadata="x"
    )
    assert (made.name, made.requires_session, made.max_delivery_count) == ("s", True, 4)
    assert made.dead_lettering_on_filter_evaluation_exceptions is True
    made.dead_lettering_on_filter_evaluation_exceptions = False
    await admin.update_subscription(name, made)
    found = await admin.get_subscription(name, "s")
    assert found.dead_lettering_on_filter_evaluation_exceptions is False
    assert found.lock_duration == timedelta(seconds=9)
    await admin.create_subscription(name, "r")
    assert [each.name for each in await admin.list_subscriptions(name)] == ["r", "s"]
    runtime = await admin.list_subscriptions_runtime_properties(name)
    assert [(each.name, each.active_message_count) for each in runtime] == [("r", 0), ("s", 0)]
    assert (await admin.get_subscription_runtime_properties(name, "s")).total_message_count == 0
    await admin.delete_subscription(name, "s")
    assert [each.name for each in await admin.list_subscriptions(name)] == ["r"]


async def test_rules(admin, name):
    await admin.create_topic(name)
    await admin.create_subscription(name, "s")
    (default,) = await admin.list_rules(name, "s")
    assert (default.name, type(default.filter), default.action) == ("$Default", TrueRuleFilter, None)
    await admin.delete_rule(name, "s", "$Default")
    sql = SqlRuleFilter("size > @size AND due < @due", {"@size": 3, "@due": datetime(2026, 1, 1)})
    await admin.create_rule(name, "s", "sql", filter=sql, action=SqlRuleAction("SET size = @n", {"@n": 2.5}))
    await admin.create_rule(name, "s", "none", filter=FalseRuleFilter())
    properties = {"text": "ü", "number": 2**40, "small": -1, "broken": 0.5, "flag": True, "span": timedelta(minutes=3)}
    wanted = CorrelationRuleFilter(label="red", session_id="7", content_type="text/plain", properties=properties)
    await admin.create_rule(name, "s", "values", filter=wanted)

    found = {rule.name: rule for rule in await admin.list_rules(name, "s")}
    assert list(found) == ["none", "sql", "values"]
    assert isinstance(found["none"].filter, FalseRuleFilter)
    assert found["sql"].filter.sql_expression == sql.sql_expression
    assert found["sql"].filter.parameters == {"@size": 3, "@due": datetime(2026, 1, 1)}
    assert found["sql"].action.sql_expression == "SET size = @n"
    assert found["sql"].action.parameters == {"@n": 2.5}
    one = await admin.get_rule(name, "s", "values")
    assert one.filter.properties == properties
    assert (one.filter.label, one.filter.session_id, one.filter.to) == ("red", "7", None)
    one.filter = SqlRuleFilter("sys.Label = 'blue'")
    await admin.update_rule(name, "s", one)
    assert (await admin.get_rule(name, "s", "values")).filter.sql_expression == "sys.Label = 'blue'"


async def test_lists_come_in_pages(admin, bus):
    names = [f"page-{number:03}" for number in range(215)]
    bus.call(lambda broker: [_create_once(broker, each) for each in names])
    assert [each.name for each in await admin.list_queues() if each.name.startswith("page-")] == names
    found = [each.name for each in await admin.list_queues(start_index=1, max_page_size=7)]
    assert set(names) <= set(found) and len(found) == len(set(found))


def _create_once(broker: Any, name: str) -> None:
    if name not in {queue.name for queue in broker.queues()}:
        broker.create_queue(QueueDescription(name))


async def test_the_namespace(admin):
    found = await admin.get_namespace_properties()
    assert (found.name, found.messaging_sku, found.namespace_type) == ("sbemulatorns", "Standard", "Messaging")
    assert found.created_at_utc <= datetime.now(UTC)


async def test_what_exists_is_not_created_again(admin, name):
    await admin.create_queue(name)
    await admin.create_topic(f"{name}t")
    await admin.create_subscription(f"{name}t", "s")
    for attempt in (
        admin.create_queue(name),
        admin.create_queue(name.upper()),
        admin.create_topic(name),
        admin.create_topic(f"{name}t"),
        admin.create_subscription(f"{name}t", "s"),
        admin.create_rule(f"{name}t", "s", "$Default"),
    ):
        with pytest.raises(ResourceExistsError):
            await attempt


async def test_what_does_not_exist_is_not_found(admin, name):
    await admin.create_topic(name)
    await admin.create_subscription(name, "s")
    gone = await admin.create_queue(f"{name}q")
    await admin.delete_queue(gone.name)
    for attempt in (
        admin.get_queue(gone.name),
        admin.get_queue_runtime_properties(gone.name),
        admin.update_queue(gone),
        admin.delete_queue(gone.name),
        admin.get_topic(gone.name),
        admin.get_subscription(name, "other"),
        admin.get_subscription(gone.name, "s"),
        admin.delete_subscription(name, "other"),
        admin.list_rules(name, "other"),
        admin.get_rule(name, "s", "other"),
        admin.delete_rule(name, "s", "other"),
        admin.create_queue(f"{name}f", forward_to=gone.name),
    ):
        with pytest.raises(ResourceNotFoundError):
            await attempt


async def test_what_cannot_be_is_refused_with_its_reason(admin, name):
    queue = await admin.create_queue(name)
    await admin.create_topic(f"{name}t")
    await admin.create_subscription(f"{name}t", "s")
    for attempt, reason in (
        (admin.create_queue("-x"), "cannot be the name of a queue"),
        (admin.create_queue(f"{name}2", lock_duration=timedelta(days=25)), "at most PT5M"),
        (admin.create_queue(f"{name}2", max_delivery_count=0), "from 1 to 2000"),
        (admin.update_queue(queue, requires_session=True), "cannot be changed"),
        (admin.create_rule(f"{name}t", "s", "r", filter=SqlRuleFilter("a = = 3")), "at position 5"),
        (admin.create_rule(f"{name}t", "s", "r", action=SqlRuleAction("SET")), "is not complete"),
    ):
        with pytest.raises(HttpResponseError, match=reason) as caught:
            await attempt
        assert caught.value.status_code == 400


async def test_another_key_is_refused(bus):
    text = bus.admin_connection_string.replace("SAS_KEY_VALUE", "another")
    async with AioClient.from_connection_string(text, transport=AioPlainHttpTransport()) as client:
        with pytest.raises(ClientAuthenticationError, match="connection string"):
            await client.get_queue("q")


async def test_who_may_not_send_there_cannot_forward_there(bus, name):
    """The token for the target of a forward comes in a header of its own."""
    text = bus.admin_connection_string
    async with AioClient.from_connection_string(text, transport=_WithoutSupplement()) as client:
        await client.create_queue(f"{name}t")
        with pytest.raises(ClientAuthenticationError, match="ServiceBusSupplementaryAuthorization"):
            await client.create_queue(name, forward_to=f"{name}t")


class _WithoutSupplement(AioPlainHttpTransport):
    async def send(self, request: Any, **options: Any) -> Any:
        request.headers.pop("ServiceBusSupplementaryAuthorization", None)
        return await super().send(request, **options)
