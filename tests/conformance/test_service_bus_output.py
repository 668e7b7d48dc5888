"""The Service Bus output binding on the local bus, against functions-host.md §2.3, §2.4 and §7."""

import azure.functions as func
import pytest
from azure.functions.meta import Datum

from devhost.invocation import FunctionInvocationError, TriggerData
from tests.conformance.service_bus_host import (
    CONNECTION,
    bodies,
    counts,
    new_queue,
    new_topic,
    peek,
    running,
    send,
)

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("impatience")]


async def written(bus, work, queue, **options):
    """What lands in `queue` when `work(msg, out)` runs once; the running host's records."""
    source = new_queue(bus, max_delivery_count=1)
    app = func.FunctionApp()
    bound = app.service_bus_queue_output("out", CONNECTION, queue, **options)(work)
    app.function_name("work")(app.service_bus_queue_trigger("msg", CONNECTION, source)(bound))
    send(bus, source, b"x")
    async with running(bus, app) as host:
        await host.drain()
    return host.records


@pytest.fixture
def target(service_bus):
    return new_queue(service_bus)


async def test_a_text_becomes_a_text_message_that_names_its_parent(service_bus, target):
    def work(msg: func.ServiceBusMessage, out: func.Out[str]):
        out.set("Zürich")

    [record] = await written(service_bus, work, target)
    [message] = peek(service_bus, target)
    assert b"".join(message.body) == "Zürich".encode()
    assert message.content_type == "text/plain"
    assert message.application_properties == {b"$AzureWebJobsParentId": record.id.encode()}
    assert message.session_id is None and message.subject is None


async def test_arrays_fan_out_objects_are_indented_and_bytes_become_the_name_of_their_type(service_bus, target):
    values = [
        ('["a", {"b": 1}, 2, true, null]', [b"a", b'{\n  "b": 1\n}', b"2", b"True", b""]),
        ('{"b":1}', [b'{\n  "b": 1\n}']),
        ("[]", []),
        ({"a": 1}, [b'{\n  "a": 1\n}']),
        (["x", "y"], [b"x", b"y"]),
        (b"lost", [b"System.Byte[]"]),
    ]
    source = new_queue(service_bus)
    app = func.FunctionApp()

    @app.service_bus_queue_trigger("msg", CONNECTION, source)
    @app.service_bus_queue_output("out", CONNECTION, target)
    def work(msg: func.ServiceBusMessage, out: func.Out[str]):
        out.set(values[int(msg.get_body())][0])

    send(service_bus, source, *[str(number) for number in range(len(values))])
    async with running(service_bus, app, maxConcurrentCalls=1) as host:
        await host.drain()
    assert bodies(service_bus, target) == [body for _, sent in values for body in sent]


async def test_the_return_value_may_go_to_a_topic(service_bus):
    topic, source = new_topic(service_bus, "all"), new_queue(service_bus)
    app = func.FunctionApp()

    @app.service_bus_queue_trigger("msg", CONNECTION, source)
    @app.service_bus_topic_output("$return", CONNECTION, topic)
    def work(msg: func.ServiceBusMessage):
        return "event"

    send(service_bus, source, b"x")
    async with running(service_bus, app) as host:
        await host.drain()
    assert bodies(service_bus, f"{topic}/Subscriptions/all") == [b"event"]


async def test_all_messages_of_an_invocation_are_sent_as_one_batch(service_bus):
    target = new_queue(service_bus, requires_session=True)

    def work(msg: func.ServiceBusMessage, out: func.Out[str]):
        out.set("[1, 2]")

    # A queue with sessions takes none of them, since an output cannot set one: one refusal, not one a message.
    [record] = await written(service_bus, work, target)
    assert record.error is not None and f"Nothing could be sent to '{target}'" in record.error.text
    assert counts(service_bus, target).active == 0


async def test_more_than_fits_into_one_batch_goes_in_several(service_bus, target):
    def work(msg: func.ServiceBusMessage, out: func.Out[str]):
        out.set([letter * 100_000 for letter in "abcde"])

    await written(service_bus, work, target)
    assert [body[:1] for body in bodies(service_bus, target)] == [b"a", b"b", b"c", b"d", b"e"]


async def test_names_from_the_message_choose_the_entity(service_bus, target):
    source = new_queue(service_bus)
    app = func.FunctionApp()

    @app.service_bus_queue_trigger("msg", CONNECTION, source)
    @app.service_bus_queue_output("out", CONNECTION, "{where}")
    def work(msg: func.ServiceBusMessage, out: func.Out[str]):
        out.set("x")

    send(service_bus, source, f'{{"where": "{target}"}}')
    async with running(service_bus, app) as host:
        await host.drain()
    assert bodies(service_bus, target) == [b"x"]


async def test_an_entity_that_does_not_exist_fails_the_invocation_and_says_so(service_bus):
    def work(msg: func.ServiceBusMessage, out: func.Out[str]):
        out.set("x")

    [record] = await written(service_bus, work, "nowhere")
    assert "There is no queue or topic 'nowhere' in sb://127.0.0.1:" in record.error.text
    assert "Declare it in servicebus.json" in record.error.text


async def test_invocations_at_once_share_a_sender(service_bus, target):
    source = new_queue(service_bus)
    app = func.FunctionApp()

    @app.service_bus_queue_trigger("msg", CONNECTION, source)
    @app.service_bus_queue_output("out", CONNECTION, target)
    async def work(msg: func.ServiceBusMessage, out: func.Out[str]):
        out.set(msg.get_body().decode())

    send(service_bus, source, *[str(number) for number in range(50)])
    async with running(service_bus, app) as host:
        await host.drain()
    assert sorted(map(int, bodies(service_bus, target))) == list(range(50))


async def test_a_bus_that_is_away_fails_the_invocation(service_bus):
    name = new_queue(service_bus)
    app = func.FunctionApp()

    @app.service_bus_queue_trigger("msg", CONNECTION, name)
    @app.service_bus_queue_output("out", "AWAY", name)
    def work(msg: func.ServiceBusMessage, out: func.Out[str]):
        out.set("x")

    away = "Endpoint=sb://127.0.0.1:1;SharedAccessKeyName=n;SharedAccessKey=k;UseDevelopmentEmulator=true"
    once = {"maxRetries": 0}
    async with running(service_bus, app, settings={"AWAY": away}, clientRetryOptions=once) as host:
        with pytest.raises(FunctionInvocationError, match=r"Nothing could be sent.*python -m devhost.servicebus"):
            await host.invoke(host.functions["work"], TriggerData(Datum("x", "string"), _METADATA))


_METADATA = {"UserProperties": Datum("{}", "json")}
