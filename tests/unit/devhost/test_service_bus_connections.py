"""Service Bus connection strings: which namespace they lead to, and what is said of those that cannot be used."""

from __future__ import annotations

import pytest

from devhost.errors import MissingConnectionError, UnsupportedBindingError
from devhost.service_bus_connections import InvalidServiceBusConnectionError, Namespace, ServiceBusConnections
from devhost.settings import Settings

KEY = "SharedAccessKeyName=n;SharedAccessKey=secret-key"
LOCAL = f"Endpoint=sb://127.0.0.1:5673;{KEY};UseDevelopmentEmulator=true;"


def test_the_local_bus_is_reached_at_its_port():
    assert (Namespace(LOCAL).address, Namespace(LOCAL).name) == (("127.0.0.1", 5673), "sb://127.0.0.1:5673")
    plain = Namespace(f"Endpoint=sb://localhost;{KEY};UseDevelopmentEmulator=true")
    assert plain.address == ("localhost", 5672)


def test_a_namespace_in_azure_is_reached_by_tls():
    namespace = Namespace(f"Endpoint=sb://shop.servicebus.windows.net/;{KEY}")
    assert (namespace.address, namespace.name) == (
        ("shop.servicebus.windows.net", 5671),
        "sb://shop.servicebus.windows.net",
    )


def test_one_namespace_for_each_connection_string():
    settings = Settings({"AzureWebJobsServiceBus": LOCAL, "OTHER": LOCAL.replace("5673", "5674"), "SAME": LOCAL})
    connections = ServiceBusConnections(settings)
    assert connections.namespace(None) is connections.namespace("SAME") is not connections.namespace("OTHER")


def test_connections_that_are_missing_or_identity_based_are_refused():
    with pytest.raises(MissingConnectionError, match="Service Bus connection string 'AzureWebJobsServiceBus'"):
        ServiceBusConnections(Settings({})).namespace(None)
    settings = Settings({"AzureWebJobsServiceBus__fullyQualifiedNamespace": "shop.servicebus.windows.net"})
    with pytest.raises(UnsupportedBindingError, match="identity-based.*python -m devhost.servicebus"):
        ServiceBusConnections(settings).namespace(None)


def test_an_entity_path_names_the_only_entity_that_may_be_used():
    namespace = Namespace(f"{LOCAL}EntityPath=jobs")
    namespace.check_entity("Jobs/$DeadLetterQueue")
    with pytest.raises(InvalidServiceBusConnectionError, match="is for 'jobs' only"):
        namespace.check_entity("replies")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("nonsense", "key=value pairs"),
        (f"Endpoint=127.0.0.1:5672;{KEY};UseDevelopmentEmulator=true", "form sb://host"),
        (f"Endpoint=https://127.0.0.1;{KEY}", "form sb://host"),
        (f"Endpoint=sb://127.0.0.1:port;{KEY};UseDevelopmentEmulator=true", "no number"),
        ("Endpoint=sb://127.0.0.1;SharedAccessKey=secret-key;UseDevelopmentEmulator=true", "SharedAccessKeyName"),
        (f"Endpoint=sb://127.0.0.1:5672;{KEY}", "UseDevelopmentEmulator=true is missing"),
    ],
)
def test_an_unusable_service_bus_string_is_refused_without_being_shown(text, why):
    with pytest.raises(InvalidServiceBusConnectionError, match=why) as caught:
        Namespace(text)
    assert "secret-key" not in str(caught.value) and caught.value.remedy
