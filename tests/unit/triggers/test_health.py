"""Health names what is missing."""

from __future__ import annotations

import socket

import pytest

from jobs.clients import clients
from jobs.errors import ServiceBusUnavailableError
from jobs.links import Link, links
from jobs.settings import settings
from tests.unit.triggers.doors import ask, content

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("storage")]


async def test_all_is_well(world):
    answer = await ask("health")
    assert answer.status_code == 200
    shown = content(answer)
    assert (shown["status"], shown["missing"]) == ("ok", [])
    assert shown["checks"]["queue jobs"]["messages"] >= 0


async def test_without_the_gateway_jobs_are_still_accepted(world, monkeypatch):
    monkeypatch.setenv("PAYMENT_GATEWAY_URL", "http://127.0.0.1:1")
    monkeypatch.delenv("SMTP_HOST")
    settings.cache_clear()
    answer = await ask("health")
    shown = content(answer)
    assert (answer.status_code, shown["status"]) == (200, "degraded")
    assert shown["missing"] == ["payment gateway", "mail server"]
    assert "SMTP_HOST" in shown["checks"]["mail server"]["problem"]


async def test_the_carrier_is_asked_where_there_is_one(world, monkeypatch):
    assert "carrier" not in content(await ask("health"))["checks"]
    for url, missing in ((world.url, []), ("http://127.0.0.1:1", ["carrier"])):
        monkeypatch.setenv("CARRIER_URL", url)
        settings.cache_clear()
        assert content(await ask("health"))["missing"] == missing


@pytest.mark.parametrize(
    "address",
    [
        "Endpoint=sb://127.0.0.1:1;UseDevelopmentEmulator=true;",
        "",
        "nonsense",
        "Endpoint=sb://127.0.0.1:port;UseDevelopmentEmulator=true;",
    ],
)
async def test_without_the_service_bus_jobs_are_still_accepted(world, monkeypatch, address):
    monkeypatch.setenv("AzureWebJobsServiceBus", address)
    settings.cache_clear()
    answer = await ask("health")
    assert (answer.status_code, content(answer)["missing"]) == (200, ["service bus"])


async def test_a_service_bus_that_did_not_let_the_app_in_is_told_until_it_does(world):
    with pytest.raises(ServiceBusUnavailableError):
        await links().open(Link("nowhere"))
    check = content(await ask("health"))["checks"]["service bus"]
    assert (check["ok"], "servicebus.json" in check["problem"]) == (False, True)
    links().failed = Link("jobs")
    for _ in range(2):
        assert content(await ask("health"))["checks"]["service bus"] == {"ok": True}
    assert links().failed is None


async def test_a_missing_queue_is_named(world):
    await clients().queue("jobs-urgent").delete_queue()
    try:
        answer = await ask("health")
        assert answer.status_code == 503
        assert content(answer)["missing"] == ["queue jobs-urgent"]
    finally:
        await clients().queue("jobs-urgent").create_queue()


async def test_without_storage_the_app_is_unavailable(world, monkeypatch):
    await clients().close()
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{unused.getsockname()[1]}/devstoreaccount1"
        services = ";".join(f"{service}Endpoint={endpoint}" for service in ("Blob", "Queue", "Table"))
        monkeypatch.setenv("AzureWebJobsStorage", f"AccountName=devstoreaccount1;AccountKey=a2V5;{services}")
        settings.cache_clear()
        monkeypatch.setattr("triggers.health.PATIENCE", 0.5)
        answer = await ask("health")
    assert answer.status_code == 503
    assert {"table jobs", "container claims", "queue jobs"} <= set(content(answer)["missing"])
    await clients().close()


async def test_no_storage_setting_is_named(world, monkeypatch):
    await clients().close()
    monkeypatch.delenv("AzureWebJobsStorage")
    settings.cache_clear()
    answer = await ask("health")
    assert answer.status_code == 503
    assert "AzureWebJobsStorage" in content(answer)["checks"]["table jobs"]["problem"]
