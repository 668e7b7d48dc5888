"""Settings: read once in one place, and a missing one says its name."""

from __future__ import annotations

import pytest

from jobs import settings as module
from jobs.errors import SettingMissingError
from jobs.settings import read


def test_a_missing_setting_is_named():
    with pytest.raises(SettingMissingError, match="PAYMENT_GATEWAY_URL"):
        read({"PAYMENT_GATEWAY_URL": ""}).required("payment_gateway_url")


def test_a_storage_account_may_be_reached_with_an_identity():
    settings = read(
        {"AzureWebJobsStorage__accountName": "night", "AzureWebJobsStorage__blobServiceUri": "https://blob.example"}
    )
    assert settings.storage_url("table") == "https://night.table.core.windows.net"
    assert settings.storage_url("blob") == "https://blob.example"
    with pytest.raises(SettingMissingError, match="AzureWebJobsStorage"):
        read({}).storage_url("blob")


def test_the_dequeue_count_is_the_hosts():
    assert module.HOST_JSON.exists()
    assert read({}).max_dequeue_count == 5
    override = {"AzureFunctionsJobHost__extensions__queues__maxDequeueCount": "7"}
    assert read(override).max_dequeue_count == 7


def test_the_delivery_count_is_the_queues():
    assert [module.max_delivery_count(queue) for queue in ("jobs", "order-events", "poison-jobs")] == [5, 5, 10]
    with pytest.raises(KeyError, match="nowhere"):
        module.max_delivery_count("nowhere")


def test_the_command_line_finds_the_host():
    assert (read({}).nightshift_url, read({}).nightshift_key) == ("http://localhost:7071", None)
    found = read({"NIGHTSHIFT_URL": "https://shop.example/", "NIGHTSHIFT_KEY": "key"})
    assert (found.nightshift_url, found.nightshift_key) == ("https://shop.example", "key")


def test_a_url_has_no_slash_at_its_end():
    assert read({"PAYMENT_GATEWAY_URL": "http://pay/"}).payment_gateway_url == "http://pay"
