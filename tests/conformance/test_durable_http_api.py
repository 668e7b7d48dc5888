"""The Durable HTTP API as any HTTP client sees it: durable.md §5, route by route, at both of its addresses."""

from __future__ import annotations

import json
import re
import threading
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.conformance import durable_app

BASE = "/runtime/webhooks/durabletask"
MANAGEMENT_KEYS = {
    "id", "statusQueryGetUri", "sendEventPostUri", "terminatePostUri", "purgeHistoryDeleteUri", "restartPostUri",
    "suspendPostUri", "resumePostUri",
}  # fmt: skip


@pytest.fixture
def host(devhost_host, tmp_path):
    return devhost_host(durable_app.write(tmp_path))


@pytest.fixture(params=["public", "rpc"])
def base(request, host) -> str:
    """The API's address: behind the host's port, and the SDK's own."""
    if request.param == "public":
        return f"{host.url}{BASE}"
    return json.loads(host.call(host.app.durable.client_binding_value))["rpcBaseUrl"].rstrip("/")


def start(host, base: str, name: str, **given):
    answer = host.post(f"{base}/orchestrators/{name}", **given)
    assert answer.status_code == 202, answer.text
    host.drain()
    return answer.json()["id"]


def test_a_start_is_answered_with_the_instances_addresses(host, base):
    answer = host.post(f"{base}/orchestrators/chain/my-id")
    assert answer.status_code == 202
    urls = answer.json()
    assert set(urls) == MANAGEMENT_KEYS
    assert urls["id"] == "my-id"
    assert answer.headers["Location"] == urls["statusQueryGetUri"]
    assert answer.headers["Retry-After"] == "10"
    assert f"{BASE}/instances/my-id?taskHub=ConformanceHub&connection=Storage" in urls["statusQueryGetUri"]
    host.drain()
    assert host.get(urls["statusQueryGetUri"]).json()["runtimeStatus"] == "Completed"
    deleted = host.request("DELETE", urls["purgeHistoryDeleteUri"])
    assert (deleted.status_code, deleted.json()) == (200, {"instancesDeleted": 1})


def test_status_bodies_and_codes(host, base):
    instance_id = start(host, base, "wait", json={"n": 1})
    running = host.get(f"{base}/instances/{instance_id}")
    assert running.status_code == 202
    assert running.headers["Retry-After"] == "5"
    assert running.headers["Location"].split("?")[0].endswith(f"/instances/{instance_id}")
    body = running.json()
    assert list(body) == [
        "name", "instanceId", "runtimeStatus", "input", "customStatus", "output", "createdTime", "lastUpdatedTime",
    ]  # fmt: skip
    assert (body["name"], body["runtimeStatus"], body["input"], body["output"]) == ("wait", "Running", {"n": 1}, None)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", body["createdTime"])
    assert host.get(f"{base}/instances/{instance_id}?showInput=false").json()["input"] is None
    host.post(f"{base}/instances/{instance_id}/raiseEvent/go", json={"a": 1})
    host.drain()
    done = host.get(f"{base}/instances/{instance_id}")
    assert (done.status_code, done.json()["output"]) == (200, {"a": 1})
    missing = host.get(f"{base}/instances/nobody")
    assert (missing.status_code, missing.content) == (404, b"")


def test_a_failed_instance_is_200_and_on_request_500(host, base):
    instance_id = start(host, base, "fails_by_itself")
    answer = host.get(f"{base}/instances/{instance_id}")
    assert (answer.status_code, answer.json()["runtimeStatus"]) == (200, "Failed")
    assert answer.json()["output"] == "Orchestrator function 'fails_by_itself' failed: by itself"
    url = f"{base}/instances/{instance_id}?returnInternalServerErrorOnFailure=true"
    assert host.get(url).status_code == 500


def test_create_and_wait(host, base):
    answer = host.post(f"{base}/orchestrators/chain?timeout=10&pollingInterval=1")
    assert (answer.status_code, answer.json()) == (200, ["Hello Tokyo!", "Hello Seattle!"])
    answer = host.post(f"{base}/orchestrators/wait?timeout=0.1&pollingInterval=1")
    assert (answer.status_code, set(answer.json())) == (202, MANAGEMENT_KEYS)


@pytest.mark.parametrize("body", [b"{", b"nope", b"\xff\xfe", b"NaN", b"[" * 100_000])
def test_a_start_with_a_body_that_is_not_json(host, base, body):
    answer = host.post(f"{base}/orchestrators/chain", content=body)
    assert answer.status_code == 400
    assert {"Message", "ExceptionMessage", "ExceptionType", "StackTrace"} == set(answer.json())


@pytest.mark.parametrize("instance_id", ["@x", "a%2Fb", "a%23b", "a%3Fb", "a%5Cb", "a%00b", "a%7Fb", "x" * 257, "%FF"])
def test_an_id_that_is_not_allowed(host, base, instance_id):
    answer = host.post(f"{base}/orchestrators/chain/{instance_id}")
    assert answer.status_code == 400
    assert answer.json()["ExceptionMessage"]


def test_an_id_that_is_in_use(host, base):
    start(host, base, "wait/used")
    answer = host.post(f"{base}/orchestrators/chain/used")
    assert answer.status_code == 409
    assert "already exists" in answer.json()["Message"]


def test_overridable_states_may_be_any(devhost_host, tmp_path):
    section = {"overridableExistingInstanceStates": "AnyState"}
    host_json = json.dumps({"version": "2.0", "extensions": {"durableTask": section}})
    host = devhost_host(durable_app.write(tmp_path, host_json))
    start(host, BASE, "wait/used")
    assert start(host, BASE, "echo/used", json="x") == "used"
    assert host.get(f"{BASE}/instances/used").json()["runtimeStatus"] == "Failed"  # a raw "x" is not JSON text


def test_raw_inputs_arrive_one_layer_thick(host, base):
    instance_id = start(host, base, "echo", json={"a": [1]})
    status = host.get(f"{base}/instances/{instance_id}").json()
    assert (status["input"], status["output"], status["customStatus"]) == ({"a": [1]}, {"a": [1]}, {"seen": {"a": [1]}})


def test_events(host, base):
    instance_id = start(host, base, "wait")
    url = f"{base}/instances/{instance_id}/RaiseEvent/go"
    assert host.post(url, content=b"x", headers={"Content-Type": "text/plain"}).status_code == 400
    assert host.post(url, content=b"{", headers={"Content-Type": "application/json"}).status_code == 400
    assert host.post(f"{base}/instances/nobody/raiseEvent/go", json=1).status_code == 404
    assert host.post(url, json=[1]).status_code == 202
    host.drain()
    assert host.get(f"{base}/instances/{instance_id}").json()["output"] == [1]
    assert host.post(url, json=1).status_code == 410


def test_terminate_suspend_resume(host, base, caplog):
    instance_id = start(host, base, "wait")
    url = f"{base}/instances/{instance_id}"
    assert host.post(f"{url}/resume?reason=x").status_code == 500
    assert "resume" in caplog.text and "Running" in caplog.text and instance_id in caplog.text
    assert host.post(f"{url}/suspend?reason=lunch").status_code == 202
    host.drain()
    status = host.get(url)
    assert (status.status_code, status.json()["runtimeStatus"]) == (202, "Suspended")
    assert host.post(f"{url}/suspend?reason=again").status_code == 500
    assert host.post(f"{url}/resume?reason=back").status_code == 202
    host.drain()
    assert host.get(url).json()["runtimeStatus"] == "Running"
    assert host.post(f"{url}/terminate?reason=enough%20now").status_code == 202
    host.drain()
    status = host.get(url)
    assert (status.status_code, status.json()["runtimeStatus"], status.json()["output"]) == (
        200, "Terminated", "enough now",
    )  # fmt: skip
    for operation in ("terminate", "suspend", "resume"):
        assert host.post(f"{url}/{operation}?reason=x").status_code == 410
        assert host.post(f"{base}/instances/nobody/{operation}?reason=x").status_code == 404


def test_rewind_restart_purge(host, base):
    failed = start(host, base, "needs_repair")
    assert host.post(f"{base}/instances/{failed}/rewind?reason=x").status_code == 202
    host.drain()
    assert host.get(f"{base}/instances/{failed}").json()["output"] == "repaired"
    again = host.post(f"{base}/instances/{failed}/rewind?reason=x")
    assert again.status_code == 412 and "failed" in again.json()
    assert host.post(f"{base}/instances/nobody/rewind").status_code == 404
    restarted = host.post(f"{base}/instances/{failed}/restart?restartWithNewInstanceId=false")
    assert (restarted.status_code, restarted.json()["id"]) == (202, failed)
    assert host.post(f"{base}/instances/nobody/restart").status_code == 400
    live = start(host, base, "wait")
    assert host.post(f"{base}/instances/{live}/restart?restartWithNewInstanceId=false").status_code == 409
    assert host.request("DELETE", f"{base}/instances/{live}").status_code == 412
    assert host.request("DELETE", f"{base}/instances/nobody").status_code == 404


def test_lists_pages_and_filters(host, base):
    for n in range(5):
        host.post(f"{base}/orchestrators/chain/page-{n}", json={"n": n})
    start(host, base, "wait/other")
    seen, token = [], None
    while True:
        headers = {"x-ms-continuation-token": token} if token else {}
        answer = host.get(f"{base}/instances/?top=2", headers=headers)
        assert answer.status_code == 200
        seen.append([status["instanceId"] for status in answer.json()])
        token = answer.headers.get("x-ms-continuation-token")
        if not token:
            break
    assert seen == [["other", "page-0"], ["page-1", "page-2"], ["page-3", "page-4"]]

    def ids(query: str) -> list[str]:
        return [status["instanceId"] for status in host.get(f"{base}/instances?{query}").json()]

    assert ids("runtimeStatus=Running") == ["other"]
    assert len(ids("runtimeStatus=Completed,Running")) == len(ids("runtimeStatus=Completed&runtimeStatus=Running")) == 6
    assert ids("instanceIdPrefix=page-3") == ["page-3"]
    assert ids("createdTimeFrom=2999-01-01T00:00:00Z") == []
    assert len(ids("createdTimeTo=2999-01-01T00:00:00.5+00:00")) == 6
    (first,) = host.get(f"{base}/instances?top=1&showInput=false&instanceIdPrefix=page").json()
    assert first["input"] is None
    for query in ("runtimeStatus=Dancing", "createdTimeFrom=yesterday", "top=-1"):
        assert host.get(f"{base}/instances?{query}").status_code == 400
    bad_token = host.get(f"{base}/instances", headers={"x-ms-continuation-token": "nonsense"})
    assert bad_token.status_code == 400


def test_purge_many(host, base):
    for n in range(3):
        host.post(f"{base}/orchestrators/chain/{n}")
    start(host, base, "wait/live")
    url = f"{base}/instances"
    assert host.request("DELETE", url).status_code == 400
    assert host.request("DELETE", f"{url}?createdTimeFrom=2999-01-01T00:00:00Z").status_code == 404
    answer = host.request("DELETE", f"{url}?createdTimeFrom=2000-01-01T00:00:00Z&runtimeStatus=Completed")
    assert (answer.status_code, answer.json()) == (200, {"instancesDeleted": 3})
    assert [status["instanceId"] for status in host.get(url).json()] == ["live"]


def test_history_in_the_status(host, base):
    instance_id = start(host, base, "fails", json=1)
    url = f"{base}/instances/{instance_id}?showHistory=true&showHistoryOutput=true"
    shown = host.get(url).json()["historyEvents"]
    assert [event["EventType"] for event in shown] == ["ExecutionStarted", "TaskFailed", "ExecutionCompleted"]
    assert shown[0]["Input"] == 1 and shown[0]["FunctionName"] == "fails"
    assert shown[1]["FunctionName"] == "break_down"
    assert shown[1]["Reason"] == "Activity function 'break_down' failed:  ValueError: cannot do x"
    assert datetime.fromisoformat(shown[1]["ScheduledTime"]) <= datetime.fromisoformat(shown[1]["Timestamp"])
    assert shown[2]["OrchestrationStatus"] == "Failed"
    assert "Input" not in host.get(f"{url}&showInput=false").json()["historyEvents"][0]


def test_entities(host, base):
    url = f"{base}/entities/Counter/My%20Key"
    assert host.get(url).status_code == 404
    assert host.post(f"{url}?op=keep", json=json.dumps({"a": 1})).status_code == 202
    host.drain()
    answer = host.get(url)
    assert (answer.status_code, answer.json()) == (200, {"a": 1})
    assert host.get(f"{base}/entities/counter/my%20key").status_code == 404  # keys keep their case, names do not
    listed = host.get(f"{base}/entities/counter?fetchState=true").json()
    assert [(entity["entityId"], entity["state"]) for entity in listed] == [
        ({"name": "counter", "key": "My Key"}, {"a": 1})
    ]
    assert "state" not in host.get(f"{base}/entities").json()[0]
    assert host.get(f"{base}/entities/nothing").json() == []
    assert [status["instanceId"] for status in host.get(f"{base}/instances").json()] == ["@counter@My Key"]
    assert host.request("DELETE", url).status_code == 202
    host.drain()
    assert host.get(url).status_code == 404
    assert host.get(f"{base}/entities").json() == []


def test_a_raw_signal_has_one_layer_and_the_sdk_wants_two(host, base):
    url = f"{base}/entities/counter/x"
    host.post(f"{url}?op=add", json=5)  # get_input() fails, as it does in Azure (durable.md §4.2)
    host.drain()
    assert host.get(url).status_code == 404
    host.post(f"{url}?op=add", content=b"5", headers={"Content-Type": "text/plain"})
    host.drain()
    assert host.get(url).json() == 5


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/nothing"), ("GET", "/orchestrators/chain"), ("POST", "/instances"), ("POST", "/instances/x/dance"),
     ("PUT", "/instances/x"), ("GET", "/"), ("PATCH", "/entities/a/b"), ("POST", "/orchestrators/a/b/c")],
)  # fmt: skip
def test_unknown_addresses(host, base, method, path):
    assert host.request(method, f"{base}{path}").status_code == 404


def test_makeprimary_and_another_hub(host, base):
    assert host.post(f"{base}/makeprimary").status_code == 200
    assert host.get(f"{base}/instances?taskHub=Elsewhere").status_code == 400
    assert host.get(f"{base}/instances?taskHub=conformancehub").status_code == 200


def test_keys_are_asked_for_only_with_enable_auth(devhost_host, tmp_path):
    host = devhost_host(durable_app.write(tmp_path), enable_auth=True)
    assert host.get(f"{BASE}/instances").status_code == 401
    binding = json.loads(host.call(host.app.durable.client_binding_value))
    url = binding["managementUrls"]["statusQueryGetUri"]
    key = binding["requiredQueryStringParameters"]
    assert key.startswith("code=") and url.endswith(key)
    answer = host.post(f"{BASE}/orchestrators/chain?{key}")
    assert answer.status_code == 202 and key in answer.json()["statusQueryGetUri"]
    assert host.get(f"{binding['rpcBaseUrl']}instances").status_code == 200


class Other(BaseHTTPRequestHandler):
    """Somebody else's HTTP service."""

    polls = 0

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/slow":
            Other.polls = 0
            self.answer(202, b"", {"Location": "/slow/1", "Retry-After": "0"})
        else:
            self.answer(201, body, {"X-Saw": self.headers.get("X-Mine", "")})

    def do_GET(self) -> None:
        Other.polls += 1
        if Other.polls < 3:
            self.answer(202, b"", {"Location": "/slow/1", "Retry-After": "0"})
        else:
            self.answer(200, self.headers.get("x-functions-key", "no key").encode(), {})

    def answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body)), "Content-Type": "text/plain"}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def other():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Other)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def output(host, name: str, given: object) -> dict:
    instance_id = start(host, BASE, name, json=json.dumps(given))
    return host.get(f"{BASE}/instances/{instance_id}").json()


def test_call_http(host, other):
    given = {"method": "POST", "uri": f"{other}/x", "content": {"a": 1}, "headers": {"X-Mine": "me"}}
    answer = output(host, "fetches", given)["output"]
    assert (answer["statusCode"], answer["content"], answer["headers"]["X-Saw"]) == (201, '{"a": 1}', "me")
    assert "Content-Type" not in answer["headers"]


def test_call_http_follows_a_202_within_its_one_task(host, other):
    given = {"method": "POST", "uri": f"{other}/slow", "content": "x", "headers": {"x-functions-key": "secret"}}
    answer = output(host, "fetches", given)["output"]
    assert (answer["statusCode"], answer["content"]) == (200, "no key")


def test_call_http_without_an_answer_or_with_a_token(host):
    failed = output(host, "fetches", {"method": "GET", "uri": "http://127.0.0.1:9/"})
    assert failed["runtimeStatus"] == "Failed"
    assert "Activity function 'BuiltIn::HttpActivity' failed:  HttpRequestException: GET http" in failed["output"]
    token = output(host, "fetches_with_a_token", None)
    assert token["runtimeStatus"] == "Failed" and "devhost cannot reach" in token["output"]
