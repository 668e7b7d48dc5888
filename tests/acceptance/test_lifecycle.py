"""How a host starts, drains and outlives an outage, and what it says when it cannot start."""

from __future__ import annotations

import json
import re
import signal

import httpx
import pytest
from azure.storage.queue import QueueClient

from devhost.azurite import Azurite
from tests.acceptance.processes import HostProcess, wait_until
from tests.conftest import Stock, settings_for
from tests.orders import article, order


def test_sigterm_finishes_what_runs_and_exits_with_0(shop_settings, stock, sandbox, tmp_path):
    stock.load(article("DRAIN", 10))
    sandbox.fault({"when": {"customer": "drain", "operation": "charge"}, "fault": "slow", "delay": 1.5})
    hub = tmp_path / "hub.sqlite3"
    with HostProcess(tmp_path, shop_settings, "--task-hub", str(hub)) as host:
        httpx.post(f"{host.url}/api/jobs/order", json=order("drain", "DRAIN"), headers={"Idempotency-Key": "drain"})
        wait_until(lambda: attempts(sandbox, "order-drain", "charges") == 1, "the charge is on its way")
        host.process.send(signal.SIGTERM)
        assert host.process.wait() == 0
        # The running activity was waited for, and its answer kept.
        assert [entry["kind"] for entry in sandbox.ledger("order-drain")["entries"]] == ["authorization", "charge"]
        host.start().wait_ready()
        wait_until(lambda: status(host, "drain") == "Completed", "the order goes on after the restart")
    assert attempts(sandbox, "order-drain", "charges") == 1


def test_azurite_goes_away_for_a_while(service_bus, tmp_path, sandbox):
    data = tmp_path / "azurite"
    azurite = Azurite(location=data).start()
    ports = azurite.ports
    settings = settings_for(azurite.connection_string, service_bus.connection_string, sandbox)
    try:
        Stock(settings).load(article("OUTAGE", 10))
        with HostProcess(tmp_path, settings, "--task-hub", str(tmp_path / "hub.sqlite3")) as host:
            httpx.get(f"{host.url}/api/health")  # the queues exist from now on
            azurite.stop()
            wait_until(lambda: "unreachable" in host.output.lower(), "the host says that storage is away")
            assert httpx.get(f"{host.url}/api/health", timeout=60).status_code == 503
            azurite = Azurite(location=data, ports=ports).start()
            post_to_queue(settings, {"kind": "order", "id": "outage", "input": order("outage", "OUTAGE")})
            wait_until(lambda: status(host, "outage") == "Completed", "the host goes on by itself")
            for queue in ("jobs", "jobs-urgent"):
                assert len(re.findall(rf"unreachable.*\b{queue}\b", host.output)) <= 1
    finally:
        azurite.stop()


def test_two_hosts_share_one_hub(shop_settings, stock, sandbox, tmp_path):
    """Both work; one is killed; the other ends everything, each order once."""
    stock.load(article("PAIR", 100))
    hub = str(tmp_path / "hub.sqlite3")
    sandbox.fault({"when": {"operation": "charge"}, "fault": "slow", "delay": 0.2})
    ids = [f"pair-{number}" for number in range(30)]
    with (
        HostProcess(tmp_path, shop_settings, "--task-hub", hub) as first,
        HostProcess(tmp_path, shop_settings, "--task-hub", hub) as second,
    ):
        for number, id in enumerate(ids):
            host = (first, second)[number % 2]
            httpx.post(f"{host.url}/api/jobs/order", json=order(id, "PAIR"), headers={"Idempotency-Key": id})
        first.kill()
        wait_until(lambda: all(status(second, id) == "Completed" for id in ids), "the second host ends all orders")
        assert "Executing 'Functions.charge_payment'" in first.output
    for id in ids:
        assert [entry["kind"] for entry in sandbox.ledger(f"order-{id}")["entries"]] == ["authorization", "charge"]
    assert stock.left("PAIR") == 70


GOOD_APP = """
import azure.functions as func
app = func.FunctionApp()

@app.queue_trigger(arg_name="message", queue_name="%QUEUE%", connection="Storage")
def work(message: str): ...
"""
TWICE = (
    GOOD_APP
    + """
@app.function_name("work")
@app.route(route="again")
def again(req: func.HttpRequest): ...
"""
)
STORAGE = {"QUEUE": "q", "Storage": "UseDevelopmentStorage=true"}


@pytest.mark.parametrize(
    ("files", "settings", "words"),
    [
        pytest.param({"function_app.py": GOOD_APP}, STORAGE, ["host.json"], id="no host.json"),
        pytest.param(
            {"host.json": "{", "function_app.py": GOOD_APP}, STORAGE, ["host.json", "JSON"], id="broken host.json"
        ),
        pytest.param({"host.json": '{"version": "2.0"}'}, STORAGE, ["function_app.py"], id="no function_app.py"),
        pytest.param(
            {"host.json": '{"version": "2.0"}', "function_app.py": "import no_such_package\n"},
            STORAGE,
            ["no_such_package", "requirements.txt"],
            id="import error in the app",
        ),
        pytest.param(
            {"host.json": '{"version": "2.0"}', "function_app.py": TWICE}, STORAGE, ["work"], id="duplicate names"
        ),
        pytest.param(
            {"host.json": '{"version": "2.0"}', "function_app.py": GOOD_APP},
            {"Storage": "UseDevelopmentStorage=true"},
            ["QUEUE", "local.settings.json"],
            id="unresolved setting",
        ),
        pytest.param(
            {"host.json": '{"version": "2.0"}', "function_app.py": GOOD_APP},
            {"QUEUE": "q"},
            ["Storage"],
            id="missing connection",
        ),
        pytest.param(
            {"host.json": '{"version": "2.0"}', "function_app.py": GOOD_APP},
            {
                "QUEUE": "q",
                "Storage": "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey=a2V5;"
                "QueueEndpoint=http://127.0.0.1:9/devstoreaccount1;",
            },
            ["127.0.0.1:9", "azurite"],
            id="Azurite not running",
        ),
    ],
)
def test_what_cannot_start_says_why(files, settings, words, tmp_path):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    logs = tmp_path / "logs"
    logs.mkdir()
    host = HostProcess(logs, settings, script_root=tmp_path).start()
    assert host.process.wait() != 0
    for word in words:
        assert word.lower() in host.output.lower(), host.output
    if "import no_such_package" not in files.get("function_app.py", ""):
        assert "Traceback" not in host.output


def test_a_port_that_is_taken(shop_settings, tmp_path):
    with HostProcess(tmp_path, shop_settings, "--task-hub", str(tmp_path / "a.sqlite3")) as first:
        logs = tmp_path / "second"
        logs.mkdir()
        second = HostProcess(
            logs, shop_settings, "--port", str(first.port), "--task-hub", str(tmp_path / "b.sqlite3")
        ).start()
        assert second.process.wait() != 0
        assert f"Port {first.port} is unavailable" in second.output and "Traceback" not in second.output


def status(host: HostProcess, id: str) -> str | None:
    answer = httpx.get(f"{host.url}/api/jobs/order/{id}", timeout=30)
    return answer.json()["status"] if answer.status_code == 200 else None


def attempts(sandbox, reference: str, operation: str) -> int:
    """How often the gateway was asked for an operation, such as "charges"."""
    return sum(request["path"].endswith(operation) for request in sandbox.requests(reference)["requests"])


def post_to_queue(settings: dict[str, str], job: dict) -> None:
    with QueueClient.from_connection_string(settings["AzureWebJobsStorage"], "jobs") as queue:
        queue.send_message(json.dumps(job))
