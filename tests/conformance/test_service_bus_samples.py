"""The public samples of azure-servicebus run on the local bus without a change, given only what they read from the
environment: the connection string and the names of entities.

The samples of 7.12.2 are the newest that take a connection string; they run on the installed client. Those of the
installed release ask Entra ID for a token instead, which needs a shim (service_bus_identity/sitecustomize.py): the
samples that are new or different there run with it. Not run:

| sample | why |
|---|---|
| client_identity_authentication | is about Entra ID, which the local bus does not know |
| proxy, connection_to_custom_endpoint_address | are about WebSockets, which the local bus does not speak |
| generate_sas_token_and_authenticate_client, authenticate_client_connstr | open no connection |
| auto_lock_renew | sleeps for minutes; for short locks its renewer looks too seldom; see test_service_bus_locks.py |
| sample_code_servicebus | snippets for the documentation; as a whole they wait for messages that they have used up |
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path

import pytest
from azure.servicebus import ServiceBusClient, ServiceBusMessage
from azure.servicebus.management import ServiceBusAdministrationClient

from devhost.servicebus.plain_http import PlainHttpTransport
from tests.conformance import microsoft_samples
from tests.conformance.service_bus_samples import Ended, Sample, path_of, run
from tests.conformance.service_bus_tls import Endpoint, write_certificate

WITH_CONNECTION_STRING = "7.12.2"
AT_ONCE = 8
LONGEST = ("deadletter_messages", "session_pool")
RULES = "topic_subscription_with_rule_operations"

SAMPLES = [
    Sample("send_queue", {"Send message is done": 1}, leaves={"queue": 21}),
    Sample("send_topic", {"Send message is done": 1}, leaves={"topic": 21}, editions=("sync",)),
    Sample("send_topic", {"Send message is done": 1}, leaves={"topic": 11}, editions=("async",)),
    Sample("receive_queue", {"found": 3}, finds=3, leaves={"topic": 3}),
    Sample("receive_iterator_queue", {"found": 3}, finds=3, leaves={"topic": 3}, is_endless=True),
    Sample("receive_peek", {"found": 2}, finds=3, leaves={"queue": 3, "topic": 3}),
    Sample("receive_subscription", {"found": 3}, finds=3, leaves={"queue": 3}),
    Sample("receive_deadlettered_messages", {"Message to be deadlettered": 20}),
    Sample("receive_deferred_message_queue", {"Deferring msg": 10, "Completing deferred": 10}),
    Sample(
        "deadletter_messages_and_correct",
        {"Message delivery_count": 3, "Deadletter message:": 1, "Fixing message": 5, "Received fixed message": 5},
    ),
    Sample(
        "schedule_messages_and_cancellation",
        {"Single message is": 1, "Multiple messages are": 1, "All scheduled messages are cancelled": 1},
    ),
    Sample("schedule_topic_messages_and_cancellation", {"All scheduled messages are cancelled": 1}),
    Sample(
        "send_and_receive_amqp_annotated_message",
        {"Message of (data|sequence|value) body sent": 3, "Message of (data|sequence|value) body received": 3},
    ),
    Sample(
        "session_send_receive",
        {"Session state: b'(START|END)'": 2, "Single session": 1, "Session Message": 9, "Receive is done": 1},
        leaves={"sessions": 11},
    ),
    Sample("session_pool_receive", {"Received total 200 messages across 10 sessions": 1}, editions=("sync",)),
    Sample("session_pool_receive", {"Message: ": 105, "If timeout occurs": 5}, editions=("async",)),
    Sample("failure_and_recovery", {"Data": 10}, is_endless=True, editions=("sync",)),
    Sample(
        RULES,
        {
            "'9' Messages From Subscription: sb-allmsgs-sub": 1,
            "'3' Messages From Subscription: sb-sqlfilteronly-sub": 1,
            "Color Property = BlueProcessed": 3,
            "'1' Messages From Subscription: sb-corrfiltersub": 1,
            "Subscription .* is deleted": 4,
        },
        leaves={"topic": 9},
    ),
    Sample("mgmt_queue", {"Queue .* is created": 1, "Message Count: 0": 1, "Queue .* is deleted": 1}),
    Sample("mgmt_topic", {"Topic .* is created": 1, "-- Get Topic Runtime": 1, "Topic .* is deleted": 1}),
    Sample(
        "mgmt_subscription",
        {"Subscription .* is created": 1, "-- Get Subscription Runtime": 1, "Subscription .* is deleted": 1},
    ),
    Sample("mgmt_rule", {"Rule .* is created": 2, "-- Get and Update Rule": 1, "Rule .* is deleted": 2}),
]
WITH_TOKEN = [
    Sample(
        "list_sessions",
        {"Queue session: found": 1, "Subscription session: found": 1},
        finds=1,
        leaves={"queue": 1, "sessions": 1, "topic": 1},
    ),
    Sample("send_queue", {"Send message is done": 1, "Thread . sent": 3}, leaves={"queue": 24}, editions=("sync",)),
    Sample("authenticate_using_azure_named_key_credential", leaves={"queue": 1}),
    Sample("authenticate_using_azure_sas_credential", leaves={"queue": 1}),
]
CASES = {
    f"{release}-{sample.stem}-{edition}": (sample, edition)
    for release, samples in (("connstr", SAMPLES), ("token", WITH_TOKEN))
    for sample in samples
    for edition in sample.editions
}
QUEUES = [
    {"Name": f"{case}-{kind}", "Properties": {"LockDuration": "PT1M", **properties}}
    for case in CASES
    for kind, properties in (("queue", {}), ("sessions", {"RequiresSession": True}))
]
TOPICS = [
    {
        "Name": f"{case}-topic",
        "Subscriptions": [{"Name": "sub", "Properties": {"RequiresSession": "list_sessions" in case}}],
    }
    for case in CASES
]


@pytest.fixture(scope="module")
def folders() -> dict[str, Path]:
    """The unpacked source distributions."""
    releases = {"connstr": WITH_CONNECTION_STRING, "token": version("azure-servicebus")}
    try:
        return {name: microsoft_samples.fetch("azure-servicebus", release) for name, release in releases.items()}
    except subprocess.CalledProcessError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"the source distributions of azure-servicebus cannot be had here: {error}")


@pytest.fixture(scope="module")
def started(request, bus_process, folders, tmp_path_factory) -> Iterator[Callable[[str], Future[Ended]]]:
    """The selected samples, running several at once, with the messages that they are to find."""
    certificate = write_certificate(tmp_path_factory.mktemp("tls"))
    wanted = [item.callspec.params["case"] for item in request.session.items if item.path == request.path]
    wanted.sort(key=lambda case: not any(name in case for name in LONGEST))
    admin_port = int(bus_process.admin_url.rpartition(":")[2].strip("/"))
    with (
        Endpoint(bus_process.port, admin_port, certificate) as endpoint,
        ServiceBusClient.from_connection_string(bus_process.connection_string) as client,
        ThreadPoolExecutor(AT_ONCE) as pool,
    ):
        for case in wanted:
            send_what_it_finds(client, case)
        environments = {case: environment_of(case, endpoint, certificate) for case in wanted}
        runs = {case: pool.submit(run_case, case, folders, told, bus_process) for case, told in environments.items()}
        yield runs.__getitem__
        for future in runs.values():
            future.cancel()


def send_what_it_finds(client: ServiceBusClient, case: str) -> None:
    sample, _ = CASES[case]
    if not sample.finds:
        return
    targets = [client.get_queue_sender(f"{case}-queue"), client.get_topic_sender(f"{case}-topic")]
    if "list_sessions" in case:
        targets.append(client.get_queue_sender(f"{case}-sessions"))
    for target in targets:
        target.send_messages([ServiceBusMessage("found", session_id="found") for _ in range(sample.finds)])


def environment_of(case: str, endpoint: Endpoint, certificate: Path) -> dict[str, str]:
    """All that a sample is told."""
    key = "RootManageSharedAccessKey", "SAS_KEY_VALUE"
    credentials = "SharedAccessKeyName={};SharedAccessKey={}".format(*key)
    environment = {
        "SERVICEBUS_QUEUE_NAME": f"{case}-queue",
        "SERVICEBUS_SESSION_QUEUE_NAME": f"{case}-sessions",
        "SERVICEBUS_SESSION_ID": "a session",
        "SERVICEBUS_TOPIC_NAME": f"{case}-topic",
        "SERVICEBUS_SUBSCRIPTION_NAME": "sub",
        # Administration is HTTPS always: either library is told whom to trust.
        "REQUESTS_CA_BUNDLE": str(certificate),
        "SSL_CERT_FILE": str(certificate),
    }
    namespace = f"127.0.0.1:{endpoint.port}"
    if case.startswith("connstr-"):
        connection_string = f"Endpoint=sb://{namespace};{credentials};UseDevelopmentEmulator=true;"
        return {**environment, "SERVICEBUS_CONNECTION_STR": connection_string}
    return {
        **environment,
        "SERVICEBUS_FULLY_QUALIFIED_NAMESPACE": namespace,
        "SERVICEBUS_SAS_POLICY": key[0],
        "SERVICEBUS_SAS_KEY": key[1],
        "PYTHONPATH": str(Path(__file__).with_name("service_bus_identity")),
    }


def run_case(case: str, folders: dict[str, Path], environment: dict[str, str], bus_process) -> Ended:
    sample, edition = CASES[case]
    path = path_of(folders[case.partition("-")[0]], sample.stem, edition)
    return run(sample, path, environment, lambda: left(bus_process, case))


def left(bus_process, case: str) -> dict[str, int]:
    """How many messages the sample left where, dead letters and scheduled ones included."""
    connection_string, transport = bus_process.admin_connection_string, PlainHttpTransport()
    with ServiceBusAdministrationClient.from_connection_string(connection_string, transport=transport) as client:
        counts = {
            "queue": client.get_queue_runtime_properties(f"{case}-queue").total_message_count,
            "sessions": client.get_queue_runtime_properties(f"{case}-sessions").total_message_count,
            "topic": client.get_subscription_runtime_properties(f"{case}-topic", "sub").total_message_count,
        }
    return {name: count for name, count in counts.items() if count}


@pytest.mark.parametrize("case", CASES)
def test_sample(case, started, bus_process):
    sample, _ = CASES[case]
    ended = started(case).result()
    assert not ended.missing(sample), ended.output
    assert ended.exit_code == (None if sample.is_endless else 0), ended.output
    assert left(bus_process, case) == dict(sample.leaves), ended.output
