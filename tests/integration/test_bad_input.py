"""Whatever arrives at the doors gets a clear answer or rests among the dead letters; good jobs go on."""

from __future__ import annotations

import json
import socket
import string

import pytest
from azure.storage.queue import QueueClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.orders import article, order

FUZZ = settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
KINDS = ("order", "mail", "analytics")

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(max_size=12), children, max_size=4),
    max_leaves=12,
)


def deeply_nested(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


@st.composite
def broken_orders(draw) -> bytes:
    """A good order with one thing wrong: a field gone, replaced by another type, or one too many."""
    document = order(f"fuzz-{draw(st.integers(0, 10**9))}")
    target = document
    while True:
        name = draw(st.sampled_from(sorted(target)))
        value = target[name]
        if isinstance(value, list) and value and draw(st.booleans()):
            target = value[0]
        elif isinstance(value, dict) and draw(st.booleans()):
            target = value
        else:
            break
    action = draw(st.sampled_from(("drop", "replace", "add")))
    if action == "drop":
        del target[name]
    elif action == "replace":
        target[name] = draw(json_values)
    else:
        target[draw(st.text(min_size=1, max_size=10))] = draw(json_values)
    return json.dumps(document).encode()


bodies = st.one_of(
    st.binary(max_size=200),
    json_values.map(lambda value: json.dumps(value).encode()),
    broken_orders(),
    st.integers(1, 100_000).map(deeply_nested),
    st.sampled_from(
        [
            b"",
            b"\x00",
            b"\xff\xfe",
            b'{"a":"\\ud800"}',
            b'{"a":1e999}',
            b"NaN",
            b'{"a":' + b"9" * 5000 + b"}",
            b"x" * 1_000_000,
        ]
    ),
)
odd_ids = st.one_of(
    st.text(min_size=1, max_size=100),
    st.sampled_from(
        [
            "../../etc/passwd",
            "..%2f..%2fsecret",
            "a/b",
            "a\\b",
            "%00",
            "a?b",
            "a#b",
            "@entity@key",
            "x" * 81,
            "x" * 5000,
            " ",
            "é",
            "-x",
            ".",
        ]
    ),
)
header_ids = odd_ids.map(str.strip).filter(
    lambda text: text and all(character in string.printable and character not in "\r\n\x0b\x0c" for character in text)
)


def assert_answered(response) -> None:
    """Either the job was good after all, or the client is told what is wrong in the agreed format."""
    assert response.status_code < 500, response.text
    if response.status_code >= 400:
        assert response.headers["content-type"].startswith("application/problem+json"), response.headers
        problem = response.json()
        assert problem["status"] == response.status_code and problem["title"] and problem["detail"]
    else:
        assert response.status_code in (200, 202)


@FUZZ
@given(kind=st.sampled_from(KINDS), body=bodies, identifier=st.none() | header_ids)
def test_any_body_posted_is_answered(shop, kind, body, identifier):
    headers = {"Content-Type": "application/json"} | ({"Idempotency-Key": identifier} if identifier is not None else {})
    assert_answered(shop.request("POST", f"/api/jobs/{kind}", content=body, headers=headers))


@FUZZ
@given(method=st.sampled_from(("GET", "POST")), target=odd_ids, tail=st.sampled_from(("", "/cancel")))
def test_any_path_is_answered_without_a_fault(shop, method, target, tail):
    """Raw bytes on the socket, since HTTP clients tidy a path up before they send it."""
    path = f"/api/jobs/order/{target}{tail}".encode("utf-8", "surrogatepass").replace(b"\r", b"").replace(b"\n", b"")
    with socket.create_connection((shop.host, shop.port), timeout=100) as connection:
        connection.sendall(
            method.encode()
            + b" "
            + path
            + b" HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        )
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    status = int(answer.split(b" ", 2)[1])
    assert 200 <= status < 500, answer[:500]


@FUZZ
@given(message=st.text(max_size=200) | bodies.map(lambda body: body[:30_000].decode("utf-8", "replace")))
def test_any_message_is_done_or_poison(shop, service_bus, queue, message):
    """Each message ends: as a job, or as a dead letter. Nothing is lost, and nothing is tried for ever."""
    text = "".join(
        character
        for character in message
        if character in "\t\n\r" or "\x20" <= character <= "\ud7ff" or "\ue000" <= character <= "\ufffd"
    )
    queue.send_message(text)
    shop.drain()
    properties = queue.get_queue_properties()
    assert properties.approximate_message_count == 0
    counts = service_bus.call(lambda broker: broker.counts("poison-jobs"))
    assert (counts.active, counts.dead_letter) in ((0, 1), (0, 0))
    assert shop.failures == []
    service_bus.clear()


def test_a_message_cannot_pass_for_another(shop, bus, queue):
    """What a message says of itself by the host's names is one more unknown field: it costs one attempt."""
    names = ("Id", "DequeueCount", "InsertionTime", "ExpirationTime", "NextVisibleTime")
    bodies = [
        json.dumps({"kind": "order", "input": order("spoof"), name: value})
        for name in names
        for value in ("x", 99, {"a": 1})
    ]
    for body in bodies:
        queue.send_message(body)
    shop.drain()
    assert [record.error for record in shop.invocations if record.function == "take_job"] == [None] * len(bodies)
    assert [letter.reason for letter in bus.dead()] == ["InvalidInput"] * len(bodies)


def test_good_orders_pass_among_the_bad(shop, stock, bus, queue):
    stock.put(article("MUG", 10))
    for number in range(20):
        queue.send_message(
            "not a job"
            if number % 2
            else json.dumps({"kind": "order", "id": f"among-{number}", "input": order(f"among-{number}")})
        )
    shop.drain()
    for number in range(0, 20, 2):
        assert shop.get(f"/api/jobs/order/among-{number}").json()["status"] == "Completed"
    assert [letter.reason for letter in bus.dead()] == ["NotAJob"] * 10


@pytest.fixture
def queue(shop, azurite):
    """The intake queue."""
    with QueueClient.from_connection_string(azurite.connection_string, "jobs") as client:
        yield client
