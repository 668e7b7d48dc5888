"""Keys, the landing page and the admin API over real sockets: functions-host.md §3."""

from __future__ import annotations

import json
import sys
import time
from datetime import UTC, datetime

import pytest

from tests.conformance.apps import DURABLE_APP, ECHO, HEAD, serve, until


@pytest.fixture
def echo(devhost_host, tmp_path):
    return serve(devhost_host, tmp_path, ECHO)


# Keys


LEVELS = HEAD + "app = func.FunctionApp()\n" + "".join(
    f"@app.route(auth_level=func.AuthLevel.{level.upper()})\ndef {level}(req) -> str: return '{level}'\n"
    for level in ("anonymous", "function", "admin")
) + "@app.route()\ndef default(req) -> str: return 'default'\n"  # fmt: skip
KEYS = {"DEVHOST_MASTER_KEY": "master", "DEVHOST_FUNCTION_KEY": "function"}


def statuses(host, **given):
    return [host.get(f"/api/{name}", **given).status_code for name in ("anonymous", "function", "admin", "default")]


def test_keys_are_not_asked_for_unless_enabled(devhost_host, tmp_path):
    host = serve(devhost_host, tmp_path, "", head=LEVELS)
    assert statuses(host) == [200] * 4
    assert host.get("/admin/functions").status_code == 200


def test_enabled_keys_guard_by_level(devhost_host, tmp_path):
    host = serve(devhost_host, tmp_path, "", head=LEVELS, settings=KEYS, options={"enable_auth": True})
    assert statuses(host) == [200, 401, 401, 401]
    assert statuses(host, headers={"x-functions-key": "function"}) == [200, 200, 401, 200]
    assert statuses(host, params={"code": "function"}) == [200, 200, 401, 200]
    assert statuses(host, headers={"x-functions-key": "master"}) == [200] * 4
    # The header stands before the query.
    assert statuses(host, headers={"x-functions-key": "wrong"}, params={"code": "master"}) == [200, 401, 401, 401]
    assert host.get("/admin/host/status").status_code == 401
    assert host.get("/admin/host/status", headers={"x-functions-key": "function"}).status_code == 401
    assert host.get("/admin/host/status", headers={"x-functions-key": "master"}).status_code == 200


def test_durables_management_urls_carry_the_key_that_opens_them(devhost_host, tmp_path):
    source = """
    @app.route()
    @app.durable_client_input(client_name="client")
    async def start(req: func.HttpRequest, client) -> func.HttpResponse:
        return client.create_check_status_response(req, await client.start_new("flow"))

    @app.orchestration_trigger(context_name="context")
    def flow(context):
        return 1
        yield
    """
    host = serve(devhost_host, tmp_path, source, head=DURABLE_APP, settings=KEYS, options={"enable_auth": True})
    uri = host.get("/api/start").json()["statusQueryGetUri"]
    host.drain()
    assert host.get(uri).json()["runtimeStatus"] == "Completed"
    assert host.get(uri.replace("code=", "code=x")).status_code == 401
    assert host.get("/runtime/webhooks/durabletask/instances").status_code == 401


def test_a_disabled_function_runs_for_the_administrator_only(devhost_host, tmp_path):
    settings = {**KEYS, "AzureWebJobs.anonymous.Disabled": "1"}
    host = serve(devhost_host, tmp_path, "", head=LEVELS, settings=settings, options={"enable_auth": True})
    assert host.get("/api/anonymous").status_code == 404
    assert host.get("/api/anonymous", params={"code": "master"}).status_code == 200


def test_locally_everyone_is_the_administrator(devhost_host, tmp_path):
    host = serve(devhost_host, tmp_path, "", head=LEVELS, settings={"AzureWebJobs.anonymous.Disabled": "1"})
    assert host.get("/api/anonymous").status_code == 200


# The host's own addresses


def test_the_landing_page(echo, devhost_host, tmp_path):
    page = echo.get("/")
    assert page.status_code == 200 and page.headers["content-type"].startswith("text/html") and "echo" in page.text


def test_the_landing_page_can_be_turned_off(devhost_host, tmp_path):
    host = serve(devhost_host, tmp_path, ECHO, settings={"AzureWebJobsDisableHomepage": "true"})
    assert (host.get("/").status_code, host.get("/").content) == (204, b"")


def test_host_status(devhost_host, tmp_path):
    host = serve(devhost_host, tmp_path, ECHO + "@app.route()\ndef bad(req, x): ...\n")
    status = host.get("/admin/host/status").json()
    assert status["state"] == "Running" and status["processUptime"] >= 0
    assert {"id", "version", "versionDetails", "platformVersion", "instanceId", "computerName"} <= set(status)
    assert status["extensionBundle"]["id"].endswith("ExtensionBundle")
    [error] = status["errors"]
    assert "'bad' function is in error" in error
    assert host.get("/admin/functions/bad/status").json()["errors"] == [error]
    assert host.get("/admin/functions/echo/status").json() == {}


def test_ping(echo):
    assert [echo.request(method, "/admin/host/ping").status_code for method in ("GET", "POST")] == [200, 200]


def test_functions_are_described(echo):
    [listed] = echo.get("/admin/functions").json()
    described = echo.get("/admin/functions/ECHO").json()
    assert listed == described and described["name"] == "echo" and described["language"] == "python"
    assert described["invoke_url_template"] == f"http://localhost:{echo.port}/api/echo/{{id?}}"
    assert [binding["type"] for binding in described["config"]["bindings"]] == ["httpTrigger", "http"]
    assert echo.get("/admin/functions/none").status_code == 404
    assert echo.get("/admin/other").status_code == 404


NEXT_YEAR = f"{datetime.now(UTC).year + 1}-01-01T00:00:00+00:00"
MANUAL = """
seen = []

@app.queue_trigger(arg_name="m", queue_name="manual", connection="C")
def queue(m: func.QueueMessage):
    seen.append([m.get_body().decode(), m.id, m.dequeue_count])

@app.schedule(schedule="0 0 0 1 1 *", arg_name="t")
def timer(t: func.TimerRequest):
    seen.append([t.past_due, t.schedule_status["Next"], t.schedule["AdjustForDST"]])

@app.route()
def http(req: func.HttpRequest) -> str:
    seen.append([req.method, req.get_body().decode()])
    return "x"

@app.service_bus_queue_trigger(arg_name="m", queue_name="manual", connection="B")
def bus(m: func.ServiceBusMessage):
    seen.append([m.get_body().decode()])
"""


@pytest.mark.parametrize(
    ("name", "body", "expected"),
    [
        ("queue", {"input": "hello"}, ["hello", None, 0]),
        ("queue", {"input": '{"id": "7", "DequeueCount": 99}'}, ['{"id": "7", "DequeueCount": 99}', None, 99]),
        ("timer", {"input": "ignored"}, [False, NEXT_YEAR, True]),
        ("timer", {}, [False, NEXT_YEAR, True]),
        ("timer", {"input": "2026-03-29T02:30:00+01:00"}, [False, "2026-03-29T01:30:00+00:00", True]),
        ("http", {"input": "body"}, ["POST", "body"]),
        ("bus", {"input": "text"}, ["text"]),
    ],
)
def test_a_function_started_by_hand_runs_in_the_background(
    name, body, expected, devhost_host, tmp_path, azurite, service_bus
):
    storage = azurite.connection_string
    connections = {"C": storage, "B": service_bus.connection_string, "AzureWebJobsStorage": storage}
    host = serve(devhost_host, tmp_path, MANUAL, settings={**connections, "TZ": "UTC"})
    host.drain()  # a timer has its next occurrence only once it is this host that runs it
    response = host.post(f"/admin/functions/{name}", json=body)
    assert (response.status_code, response.content) == (202, b"")
    host.drain()
    assert sys.modules["function_app"].seen == [expected]


def test_a_blob_function_started_by_hand_reads_the_blob(devhost_host, tmp_path, azurite):
    from azure.storage.blob import BlobServiceClient

    source = """
    seen = []

    @app.blob_trigger(arg_name="b", path="manual/{name}", connection="C")
    def blob(b: func.InputStream):
        seen.append([b.name, b.read()])
    """
    with BlobServiceClient.from_connection_string(azurite.connection_string) as blobs:
        container = blobs.create_container("manual")
        container.upload_blob("a{1}.bin", b"\x00\xff")
    storage = azurite.connection_string
    settings = {"C": storage, "AzureWebJobsStorage": storage, "AzureWebJobs.blob.Disabled": "true"}
    host = serve(devhost_host, tmp_path, source, settings=settings)
    assert host.post("/admin/functions/blob", json={"input": "manual/a{1}.bin"}).status_code == 202
    host.drain()
    assert sys.modules["function_app"].seen == [["manual/a{1}.bin", b"\x00\xff"]]
    for path in ("manual/none", "manual", "", "MANUAL/none", ["manual/none"], "manual/\ud800"):
        body = json.dumps({"input": path})
        refused = host.post("/admin/functions/blob", content=body, headers={"Content-Type": "application/json"})
        assert refused.status_code == 400, path


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [(b"", "application/json", 400), (b"null", "application/json", 400), (b"{", "application/json", 400),
     (b"[" * 100_000, "application/json", 400), (b'{"input": "x"}', "text/plain", 415)],
)  # fmt: skip
def test_what_does_not_start_a_function(content, kind, status, echo):
    response = echo.post("/admin/functions/echo", content=content, headers={"Content-Type": kind})
    assert response.status_code == status
    assert echo.post("/admin/functions/none", json={"input": ""}).status_code == 404


def test_drain_stops_the_listeners_and_resume_starts_them(devhost_host, tmp_path, azurite):
    from azure.storage.queue import QueueClient, TextBase64EncodePolicy

    source = """
    seen = []

    @app.queue_trigger(arg_name="m", queue_name="drain-resume", connection="C")
    def work(m: str):
        seen.append(m)
    """
    host = serve(devhost_host, tmp_path, source, settings={"C": azurite.connection_string})
    assert host.get("/admin/host/drain/status").json()["state"] == "Disabled"
    assert host.post("/admin/host/drain").status_code == 202
    until(lambda: host.get("/admin/host/drain/status").json()["state"] == "Completed")
    with QueueClient.from_connection_string(
        azurite.connection_string, "drain-resume", message_encode_policy=TextBase64EncodePolicy()
    ) as queue:
        queue.create_queue()
        queue.send_message("later")
    time.sleep(0.3)
    assert sys.modules["function_app"].seen == []
    assert host.post("/admin/host/resume").json() == {"state": "Running"}
    host.drain()
    assert sys.modules["function_app"].seen == ["later"]
