"""The HTTP trigger over real sockets: functions-host.md §3, row by row."""

from __future__ import annotations

import socket
import sys
import threading

import httpx
import pytest

from tests.conformance.apps import ECHO, serve, until


def raw(host, request: bytes, *, patience: float = 10.0) -> bytes:
    """The head of what a socket answers to these very bytes; empty if it just closes."""
    with socket.create_connection((host.host, host.port), timeout=patience) as connection:
        connection.sendall(request)
        answer = b""
        while b"\r\n\r\n" not in answer and (chunk := connection.recv(65536)):
            answer += chunk
        return answer


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


@pytest.fixture
def echo(devhost_host, tmp_path):
    return serve(devhost_host, tmp_path, ECHO)


# Routing


def test_functions_are_tried_by_name_not_by_how_exact_their_route_is(devhost_host, tmp_path):
    host = serve(devhost_host, tmp_path, """
    @app.route(route="orders/{id}")
    def a_general(req) -> str: return "general"

    @app.route(route="orders/special")
    def b_exact(req) -> str: return "exact"
    """)  # fmt: skip
    assert host.get("/api/orders/special").text == "general"


def test_a_wrong_method_is_tried_on_and_ends_in_404(devhost_host, tmp_path):
    host = serve(devhost_host, tmp_path, """
    @app.route(route="x", methods=["POST"])
    def a(req) -> str: return "a"

    @app.route(route="x", methods=["PUT"])
    def b(req) -> str: return "b"
    """)  # fmt: skip
    assert (host.post("/api/x").text, host.request("PUT", "/api/x").text) == ("a", "b")
    for method in ("GET", "DELETE", "OPTIONS", "HEAD"):
        assert host.request(method, "/api/x").status_code == 404


def test_without_methods_any_will_do(echo):
    for method in ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
        assert echo.request(method, "/api/echo").json()["method"] == method


def test_paths_ignore_case_and_a_slash_at_the_end(echo):
    assert echo.get("/API/Echo/").status_code == 200


def test_a_constraint_that_does_not_hold_is_a_404(devhost_host, tmp_path):
    host = serve(devhost_host, tmp_path, """
    @app.route(route="n/{n:int:range(1,9)}")
    def n(req) -> str: return req.route_params["n"]
    """)  # fmt: skip
    assert host.get("/api/n/7").text == "7"
    assert [host.get(f"/api/n/{value}").status_code for value in ("0", "10", "x")] == [404] * 3


@pytest.mark.parametrize(("prefix", "path"), [("", "/echo"), ("v1/x", "/v1/x/echo")])
def test_the_route_prefix(prefix, path, devhost_host, tmp_path):
    host = serve(devhost_host, tmp_path, ECHO, host={"extensions": {"http": {"routePrefix": prefix}}})
    assert host.get(path).status_code == 200
    assert host.get("/api/echo").status_code == 404


def test_unknown_paths_are_an_empty_404(echo):
    response = echo.get("/nowhere")
    assert (response.status_code, response.content) == (404, b"")


# The request


def test_headers_arrive_in_lower_case_and_repeated_ones_joined(echo):
    headers = echo.get("/api/echo", headers=[("X-One", "1"), ("X-Two", "a"), ("x-two", "b")]).json()["headers"]
    assert headers["x-one"] == "1" and headers["x-two"].replace(" ", "") == "a,b"


def test_query_values_are_joined_and_empty_ones_dropped(echo):
    assert echo.get("/api/echo?a=1&a=2&empty=&b=%20x").json()["params"] == {"a": "1,2", "b": " x"}


def test_the_url_is_whole(echo):
    assert echo.get("/api/echo/7?q=1").json()["url"] == f"http://127.0.0.1:{echo.port}/api/echo/7?q=1"


def test_route_values_are_text_and_absent_ones_are_left_out(echo):
    assert echo.get("/api/echo/7").json()["route"] == {"id": "7"}
    assert echo.get("/api/echo").json()["route"] == {}
    assert echo.get("/api/echo/a%20b%2Fc").json()["route"] == {"id": "a b%2Fc"}


def test_bodies_are_bytes(echo):
    assert echo.post("/api/echo", content=b"\x00\xff").json()["body"] == "\x00ÿ"


def test_chunked_bodies_arrive_too(echo):
    assert echo.post("/api/echo", content=iter([b"one ", b"two"])).json()["body"] == "one two"


def test_compressed_bodies_are_not_unpacked(echo):
    assert echo.post("/api/echo", content=b"zip", headers={"Content-Encoding": "gzip"}).json()["body"] == "zip"


def test_more_than_100_mb_is_refused(echo):
    head = b"POST /api/echo HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
    assert status_of(raw(echo, head % 104_857_601)) == 413


def test_forms_and_files_are_parsed_by_the_library(devhost_host, tmp_path):
    host = serve(devhost_host, tmp_path, """
    @app.route()
    def form(req) -> str: return req.form["a"] + req.files["f"].read().decode()
    """)  # fmt: skip
    assert host.post("/api/form", data={"a": "1"}, files={"f": b"file"}).text == "1file"


def test_json_that_is_none_raises_valueerror_in_the_function(devhost_host, tmp_path):
    host = serve(devhost_host, tmp_path, """
    @app.route()
    def read(req) -> str:
        try:
            return str(req.get_json()["a"])
        except ValueError:
            return "not JSON"
    """)  # fmt: skip
    assert host.post("/api/read", content=b'{"a": 1}').text == "1"
    assert host.post("/api/read", content=b"{").text == "not JSON"


# The response


def answers(devhost_host, folder, expression):
    source = f"""
    @app.route()
    def f(req):
        return {expression}
    """
    return serve(devhost_host, folder, source).get("/api/f")


def test_an_http_response(devhost_host, tmp_path):
    response = answers(devhost_host, tmp_path, 'func.HttpResponse("né", status_code=201, headers={"X-A": "1"})')
    assert (response.status_code, response.text, response.headers["x-a"]) == (201, "né", "1")
    assert response.headers["content-type"] == "text/plain; charset=utf-8"


def test_text_is_an_envelope_if_it_is_json_with_a_body(devhost_host, tmp_path):
    response = answers(devhost_host, tmp_path, """'{"status": 202, "body": "x", "headers": {"X-A": "1"}}'""")
    assert (response.status_code, response.text, response.headers["x-a"]) == (202, "x", "1")


@pytest.mark.parametrize(
    ("expression", "text"),
    [("'plain'", "plain"), ("'{\"a\":1}'", '{\n  "a": 1\n}'), ("'true'", "True"), ("''", "")],
)
def test_text_is_printed_anew_if_it_is_other_json(expression, text, devhost_host, tmp_path):
    response = answers(devhost_host, tmp_path, expression)
    assert (response.status_code, response.text) == (200, text)
    assert response.headers["content-type"] == "text/plain; charset=utf-8"


@pytest.mark.parametrize(
    "expression", ["None", "{'a': 1}", "b'bytes'", "('x', 201)", "1/0", "exit(3)", "next(iter(()))"]
)
def test_other_results_and_exceptions_are_an_empty_500(expression, devhost_host, tmp_path):
    response = answers(devhost_host, tmp_path, expression)
    assert (response.status_code, response.content) == (500, b"")


@pytest.mark.parametrize(
    "expression",
    ['func.HttpResponse("x", status_code=42)', 'func.HttpResponse("x", headers={"X-A": "a\\nb"})',
     """'{"body": "x", "status": "soon"}'"""],
)  # fmt: skip
def test_a_response_that_http_does_not_know_is_a_500_and_no_fault_of_the_host(expression, devhost_host, tmp_path):
    assert answers(devhost_host, tmp_path, expression).status_code == 500


def test_head_has_headers_only(echo):
    response = echo.request("HEAD", "/api/echo")
    assert (response.status_code, response.content) == (200, b"")


def test_an_http_output_under_another_name(devhost_host, tmp_path):
    host = serve(devhost_host, tmp_path, """
    @app.route(binding_arg_name="res")
    def f(req: func.HttpRequest, res: func.Out[func.HttpResponse]):
        if "set" in req.params:
            res.set(func.HttpResponse("out", status_code=201))
    """)  # fmt: skip
    assert (host.get("/api/f?set=1").status_code, host.get("/api/f?set=1").text) == (201, "out")
    # A function that ends without a response.
    assert (host.get("/api/f").status_code, host.get("/api/f").content) == (200, b"")


def test_custom_headers_are_on_every_response(devhost_host, tmp_path):
    http = {"customHeaders": {"X-Content-Type-Options": "nosniff"}}
    host = serve(devhost_host, tmp_path, ECHO, host={"extensions": {"http": http}})
    for path in ("/api/echo", "/nowhere", "/", "/admin/host/status"):
        assert host.get(path).headers["x-content-type-options"] == "nosniff"


# Limits


GATE = """
import threading
gate, entered = threading.Event(), threading.Semaphore(0)

@app.route()
def wait(req) -> str:
    entered.release()
    gate.wait(20)
    return "done"

@app.route()
def open_gate(req) -> str:
    gate.set()
    return "open"
"""


def in_background(call):
    results = []
    thread = threading.Thread(target=lambda: results.append(call()))
    thread.start()
    return thread, results


def test_more_than_max_outstanding_requests_get_429(devhost_host, tmp_path):
    host = serve(devhost_host, tmp_path, GATE, host={"extensions": {"http": {"maxOutstandingRequests": 1}}})
    first, results = in_background(lambda: host.get("/api/wait").text)
    until(lambda: host.app.outstanding == 1)
    assert host.get("/api/wait").status_code == 429
    assert host.get("/admin/host/status").status_code == 200
    sys.modules["function_app"].gate.set()
    first.join()
    assert results == ["done"] and host.get("/api/open_gate").text == "open"


def test_max_concurrent_requests_wait_for_their_turn(devhost_host, tmp_path):
    host = serve(devhost_host, tmp_path, GATE, host={"extensions": {"http": {"maxConcurrentRequests": 1}}})
    calls = [in_background(lambda: host.get("/api/wait").text) for _ in range(3)]
    until(lambda: host.call(lambda: host.app._server.outstanding) == 3)
    assert host.app.outstanding == 1
    sys.modules["function_app"].gate.set()
    for thread, _ in calls:
        thread.join()
    assert [results for _, results in calls] == [["done"]] * 3


# Bad requests


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"nonsense\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /api/echo/\x00 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /api/echo/%00 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET /api/echo/\xff\xfe HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET /api/echo HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /api/echo HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n",
        b"POST /api/echo HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /api/echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST /api/echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\nabc",
    ],
)
def test_broken_requests_get_a_4xx_and_the_host_goes_on(request_bytes, echo, caplog):
    answer = raw(echo, request_bytes)
    assert answer == b"" or 400 <= status_of(answer) < 500
    assert echo.get("/api/echo").status_code == 200
    assert not any(record.exc_info for record in caplog.records)


@pytest.mark.parametrize(
    "path",
    [
        "/api/echo/%FF",
        "/api/echo/%E2%28%A1",
        "/api/echo/%ED%A0%80",
        "/api/echo?%FF=%FF&a=%00",
        "/api/echo/%25%32",
        "//api//echo",
        "/api/../../etc/passwd",
        "/api/echo/..%2f..%2f",
        "/api/echo/%5c..%5c",
        "http://x/api/echo",
        "*",
    ],
)
def test_odd_paths_are_answered(path, echo):
    answer = raw(echo, f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    assert status_of(answer) in (200, 400, 404)


def test_header_bytes_that_are_not_utf8_do_no_harm(echo):
    answer = raw(echo, b"GET /api/echo HTTP/1.1\r\nHost: x\r\nX-Odd: \xff\xfe\r\nConnection: close\r\n\r\n")
    assert status_of(answer) in (200, 400)


def test_a_client_that_goes_away_does_not_interrupt_the_function(devhost_host, tmp_path):
    host = serve(devhost_host, tmp_path, GATE)
    with socket.create_connection((host.host, host.port)) as connection:
        connection.sendall(b"GET /api/wait HTTP/1.1\r\nHost: x\r\n\r\n")
        until(lambda: host.app.outstanding == 1)
    assert host.get("/api/open_gate").text == "open"
    host.drain()
    assert [record.outcome for record in host.invocations if record.function == "wait"] == ["Succeeded"]


# CORS


@pytest.mark.parametrize(("allowed", "shown"), [("*", "*"), ("http://a.example,http://b.example/", "http://b.example")])
def test_cors_lets_the_named_origins_in(allowed, shown, devhost_host, tmp_path):
    host = serve(devhost_host, tmp_path, ECHO, options={"cors": allowed})
    origin = {"Origin": "http://b.example"}
    assert host.get("/api/echo", headers=origin).headers["access-control-allow-origin"] == shown
    asked = {**origin, "Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "x-a"}
    preflight = host.request("OPTIONS", "/api/echo", headers=asked)
    assert preflight.status_code == 204
    assert preflight.headers["access-control-allow-origin"] == shown
    assert preflight.headers["access-control-allow-methods"] == "PUT"
    assert preflight.headers["access-control-allow-headers"] == "x-a"
    stranger = host.get("/api/echo", headers={"Origin": "http://c.example"})
    assert ("access-control-allow-origin" in stranger.headers) == (allowed == "*")


def test_without_cors_there_is_no_such_header(echo):
    assert "access-control-allow-origin" not in echo.get("/api/echo", headers={"Origin": "http://a.example"}).headers


def test_connections_are_kept_and_used_again(echo):
    with httpx.Client(base_url=echo.url) as client:
        assert [client.get("/api/echo").status_code for _ in range(3)] == [200] * 3
