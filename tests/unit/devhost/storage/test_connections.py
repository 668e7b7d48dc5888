"""Connection strings: which account they lead to."""

from __future__ import annotations

import pytest

from devhost.settings import Settings
from devhost.storage import StorageAccounts
from devhost.storage.connections import development_connection_string, parse_account
from devhost.storage.errors import InvalidConnectionError


def test_development_storage_is_azurite_on_its_ports():
    account = parse_account("UseDevelopmentStorage=true")
    assert account.queue_endpoint == "http://127.0.0.1:10001/devstoreaccount1"
    assert account.blob_endpoint == "http://127.0.0.1:10000/devstoreaccount1"
    assert account.table_endpoint == "http://127.0.0.1:10002/devstoreaccount1"


def test_azurite_elsewhere():
    account = parse_account(development_connection_string(1, 2, 3))
    assert (account.name, account.queue_endpoint) == ("devstoreaccount1", "http://127.0.0.1:2/devstoreaccount1")


def test_an_account_in_azure_gets_its_endpoints_from_name_protocol_and_suffix():
    account = parse_account(
        "DefaultEndpointsProtocol=https;AccountName=shop;AccountKey=a2V5PT0=;EndpointSuffix=example.net"
    )
    assert (account.key, account.blob_endpoint) == ("a2V5PT0=", "https://shop.blob.example.net")


def test_a_shared_access_signature_with_its_endpoint():
    account = parse_account("QueueEndpoint=https://shop.queue.example.net/;SharedAccessSignature=?sv=1&sig=a%3D")
    assert (account.sas, account.queue_endpoint) == ("sv=1&sig=a%3D", "https://shop.queue.example.net")
    assert parse_account(account.connection_string) == account


@pytest.mark.parametrize("text", ["nonsense", "AccountName=shop", "AccountKey=secret-key", "a=b;a=c"])
def test_an_unusable_string_is_refused_without_being_shown(text):
    with pytest.raises(InvalidConnectionError, match="connection string cannot be used") as caught:
        parse_account(text)
    assert "secret-key" not in str(caught.value)


def test_connections_of_the_same_account_share_a_queue_and_its_watchers():
    accounts = StorageAccounts(Settings({"A": "UseDevelopmentStorage=true", "B": "UseDevelopmentStorage=true"}))
    assert accounts.queues("A").queue("Orders") is accounts.queues("B").queue("orders")


def test_a_connection_without_queues_says_what_to_add():
    accounts = StorageAccounts(Settings({"A": "BlobEndpoint=https://shop.example.net;SharedAccessSignature=sv=1"}))
    with pytest.raises(InvalidConnectionError, match="Add QueueEndpoint"):
        accounts.queues("A")
