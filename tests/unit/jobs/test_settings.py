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


def test_a_service_bus_may_be_reached_with_an_identity():
    named = read({"AzureWebJobsServiceBus__fullyQualifiedNamespace": "night.servicebus.windows.net"})
    assert named.service_bus_host() == "night.servicebus.windows.net"
    assert named.service_bus_address() == ("night.servicebus.windows.net", 5671)
    for ask in (read({}).service_bus_host, read({}).service_bus_address):
        with pytest.raises(SettingMissingError, match="AzureWebJobsServiceBus"):
            ask()


@pytest.mark.parametrize(
    ("endpoint", "rest", "address"),
    [
        ("sb://127.0.0.1:40123", "UseDevelopmentEmulator=true;", ("127.0.0.1", 40123)),
        ("sb://localhost", "UseDevelopmentEmulator=true;", ("localhost", 5672)),
        ("sb://night.servicebus.windows.net/", "", ("night.servicebus.windows.net", 5671)),
    ],
)
def test_a_connection_string_says_where_the_service_bus_listens(endpoint, rest, address):
    text = f"Endpoint={endpoint};SharedAccessKeyName=Root;SharedAccessKey=a2V5PQ==;{rest}"
    assert read({"AzureWebJobsServiceBus": text}).service_bus_address() == address


def test_the_thresholds_of_alerts_can_be_set():
    assert (read({}).dead_letter_alert_depth, read({}).dead_letter_alert_age) == (100, 86400.0)
    given = read({"DEAD_LETTER_ALERT_DEPTH": "5", "DEAD_LETTER_ALERT_AGE": "60"})
    assert (given.dead_letter_alert_depth, given.dead_letter_alert_age) == (5, 60.0)


def test_who_tells_of_blobs_can_be_set():
    assert read({}).blob_trigger_source == "LogsAndContainerScan"
    assert read({"BLOB_TRIGGER_SOURCE": "EventGrid"}).blob_trigger_source == "EventGrid"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FINISHED_JOB_AGE", "0"),
        ("FINISHED_JOB_AGE", "-2592000"),
        ("FAILED_JOB_AGE", "3600"),
        ("FAILED_JOB_AGE", "90d"),
        ("FINISHED_JOB_AGE", "nan"),
        ("STALLED_ALERT_AGE", "inf"),
        ("OVERDUE_ALERT_MARGIN", "-1"),
        ("DEAD_LETTER_ALERT_DEPTH", "many"),
        ("IMPORT_ROWS_PER_CHUNK", "0"),
        ("DELIVERY_FIRST_PAUSE", "0"),
        ("CALLBACK_TIMEOUT", "0"),
    ],
)
def test_a_number_that_is_none_or_too_small_is_named(name, value):
    with pytest.raises(SettingMissingError, match=f"{name} must be a number from .* leave it out for "):
        read({name: value})


def test_numbers_may_have_their_least_value():
    given = read({"FINISHED_JOB_AGE": "86400", "QUEUE_ALERT_DEPTH": "0", "IMPORT_ROWS_PER_CHUNK": "1"})
    assert (given.finished_job_age, given.queue_alert_depth, given.import_rows_per_chunk) == (86_400.0, 0, 1)
