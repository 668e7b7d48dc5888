"""How a function is called and what becomes of its results: functions-host.md §2.3, §2.5 and §8."""

from __future__ import annotations

import asyncio
import logging
import re
import sys
import threading
import time

import pytest
from azure.functions.meta import Datum

from devhost.invocation import FunctionInvocationError, TriggerData
from tests.conformance.apps import DURABLE_APP, write_app

WITHOUT_TIMERS = {f"AzureWebJobs.{name}.Disabled": "1" for name in ("returned", "unbound", "work")}
"""These tests start their timers by hand, and need no storage that way."""


def app_module():
    return sys.modules["function_app"]


def start(devhost_host, folder, source, settings=None, **given):
    return devhost_host(write_app(folder, source, **given), settings={**WITHOUT_TIMERS, **(settings or {})})


def invoke(host, name, value, metadata=None):
    """The answer to one direct invocation."""
    return host.call(host.app.invoke, host.app.functions[name], TriggerData(value, metadata or {}))


# Where it runs


def test_sync_functions_run_at_once_in_a_thread_pool(devhost_host, tmp_path):
    host = start(devhost_host, tmp_path, """
    import threading
    together = threading.Barrier(3, timeout=100)

    @app.route()
    def meet(req) -> str:
        together.wait()
        return threading.current_thread().name
    """, {"PYTHON_THREADPOOL_THREAD_COUNT": "3"})  # fmt: skip
    names = []
    threads = [threading.Thread(target=lambda: names.append(host.get("/api/meet").text)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(names)) == 3 and "devhost" not in names


def test_the_pool_is_as_large_as_the_setting_says(devhost_host, tmp_path):
    host = start(devhost_host, tmp_path, """
    import threading, time
    running, most, lock = 0, 0, threading.Lock()

    @app.route()
    def count(req) -> str:
        global running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.05)
        with lock:
            running -= 1
        return str(most)
    """, {"PYTHON_THREADPOOL_THREAD_COUNT": "1"})  # fmt: skip
    threads = [threading.Thread(target=host.get, args=("/api/count",)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert host.get("/api/count").text == "1"


def test_async_functions_share_the_hosts_one_loop(devhost_host, tmp_path):
    host = start(devhost_host, tmp_path, """
    import asyncio
    loops = set()

    @app.route()
    async def a(req) -> str:
        loops.add(asyncio.get_running_loop())
        return str(len(loops))
    """)  # fmt: skip
    assert [host.get("/api/a").text for _ in range(3)] == ["1"] * 3
    assert host.call(asyncio.get_running_loop) in app_module().loops


# The context


def test_what_a_context_holds(devhost_host, tmp_path):
    host = start(devhost_host, tmp_path, """
    seen = []

    @app.route()
    def f(req, context: func.Context) -> str:
        seen.append(context)
        return context.invocation_id
    """)  # fmt: skip
    answer = host.get("/api/f").text
    [context] = app_module().seen
    assert re.fullmatch("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", answer)
    assert (context.function_name, context.function_directory) == ("f", str(tmp_path))
    assert context.trace_context.trace_parent.startswith("00-") and context.trace_context.Traceparent
    assert context.trace_context.trace_state == "" and context.trace_context.attributes == {}
    assert context.retry_context is None
    assert [record.id for record in host.invocations] == [answer]


def test_log_lines_belong_to_their_invocation_even_from_own_threads(devhost_host, tmp_path, caplog):
    from devhost import logs

    source = """
    import threading
    from devhost import logs

    @app.route()
    def sync(req, context: func.Context) -> str:
        names = [logs.current_function()]
        def attributed():
            context.thread_local_storage.invocation_id = context.invocation_id
            names.append(logs.current_function())
        for target in (attributed, lambda: names.append(logs.current_function())):
            thread = threading.Thread(target=target)
            thread.start()
            thread.join()
        return ",".join(map(str, names))

    @app.route(route="a")
    async def asynchronous(req) -> str:
        import asyncio
        await asyncio.sleep(0)
        return f"{logs.current_function()},{await asyncio.to_thread(logs.current_function)}"
    """
    host = start(devhost_host, tmp_path, source)
    assert host.get("/api/sync").text == "sync,sync,None"
    assert host.get("/api/a").text == "asynchronous,asynchronous"
    assert logs.current_function() is None


# Results


RESULTS = """
sent = {}

class Sink:
    def __init__(self, host, binding):
        self.name = binding.name
    def check(self, data):
        if "impossible" in str(sent.get("path")):
            raise ValueError("no value for named parameter")
    async def write(self, value, data):
        if value.value == "fail":
            raise ValueError("the output cannot be written")
        sent[self.name] = (value.type, value.value)

@app.function_name("out")
@app.queue_output(arg_name="first", queue_name="qqq", connection="C")
@app.queue_output(arg_name="second", queue_name="qqq", connection="C")
@app.activity_trigger(input_name="x")
def out(x, first: func.Out[str], second: func.Out[func.QueueMessage]):
    for value in x.get("first", []):
        first.set(value)
    second.set(x.get("second"))
    if "raise" in x:
        raise RuntimeError(x["raise"])
    return first.get()

@app.queue_output(arg_name="$return", queue_name="qqq", connection="C")
@app.schedule(schedule="0 0 0 1 1 *", arg_name="t")
def returned(t):
    return answer

@app.schedule(schedule="0 0 0 1 1 *", arg_name="t")
def unbound(t):
    return answer

answer = None
"""
TIMER = Datum('{"IsPastDue": false}', "json")


@pytest.fixture
def results(devhost_host, tmp_path, monkeypatch):
    """An app whose outputs go into `function_app.sent`."""
    import devhost.bindings

    folder = write_app(tmp_path, RESULTS, head=DURABLE_APP)
    monkeypatch.setitem(devhost.bindings.OUTPUTS, "queue", ("function_app", "Sink"))
    monkeypatch.setattr("devhost.host.check_services", _nothing)
    return devhost_host(folder, settings=WITHOUT_TIMERS)


async def _nothing(host):
    pass


def test_an_outputs_last_value_counts_and_what_is_not_set_is_skipped(results):
    answer = invoke(results, "out", Datum('{"first": ["a", "b"]}', "string"))
    assert app_module().sent == {"first": ("string", "b")}
    assert (answer.type, answer.value) == ("json", '"b"')


def test_outputs_set_before_an_exception_are_lost(results):
    with pytest.raises(FunctionInvocationError, match="RuntimeError: broken") as caught:
        invoke(results, "out", Datum('{"first": ["a"], "raise": "broken"}', "string"))
    assert app_module().sent == {}
    text = caught.value.text
    assert text.startswith("Result: Failure\nException: RuntimeError: broken\nStack: Traceback")
    assert "function_app.py" in text and "invoker.py" not in text


def test_an_output_that_fails_fails_the_invocation_after_the_others_were_written(results):
    with pytest.raises(FunctionInvocationError, match="ValueError: the output cannot be written"):
        invoke(results, "out", Datum('{"first": ["fail"], "second": "ok"}', "string"))
    assert app_module().sent == {"second": ("string", "ok")}


def test_an_expression_without_its_value_fails_before_the_function_runs(results):
    app_module().sent["path"] = "impossible"
    with pytest.raises(FunctionInvocationError, match="no value for named parameter"):
        invoke(results, "out", Datum('{"first": ["a"]}', "string"))
    assert set(app_module().sent) == {"path"}


@pytest.mark.parametrize(
    ("value", "sent"),
    [("text", ("string", "text")), (b"b", ("bytes", b"b")), (["a", "b"], ("json", '["a", "b"]')),
     ({"key": 1}, ("json", '["key"]'))],
)  # fmt: skip
def test_the_return_value_goes_to_return_by_its_bindings_converter(value, sent, results):
    app_module().answer = value
    assert invoke(results, "returned", TIMER) is None
    assert app_module().sent == {"$return": sent}


@pytest.mark.parametrize("value", [None, 5, [{"a": 1}]])
def test_a_return_value_that_its_binding_does_not_take_fails(value, results):
    app_module().answer = value
    with pytest.raises(FunctionInvocationError, match="TypeError"):
        invoke(results, "returned", TIMER)


def test_a_return_value_that_nothing_is_bound_to_fails(results):
    assert invoke(results, "unbound", TIMER) is None
    app_module().answer = 0
    with pytest.raises(FunctionInvocationError, match="RuntimeError: the function 'unbound' returned a int"):
        invoke(results, "unbound", TIMER)


@pytest.mark.parametrize(
    ("given", "received"),
    [('"text"', "text"), ("12", 12), ("null", None), ('{"a": [1]}', {"a": [1]}), ("not json", "not json")],
)
def test_activities_receive_json_and_answer_json(given, received, devhost_host, tmp_path):
    source = "seen = []\n@app.activity_trigger(input_name='x')\ndef act(x):\n    seen.append(x)\n    return x\n"
    host = start(devhost_host, tmp_path, source, head=DURABLE_APP)
    answer = invoke(host, "act", Datum(given, "string"))
    assert app_module().seen == [received]
    assert answer.type == "json" and answer.value == (given if given != "not json" else '"not json"')


# Exceptions that are no ordinary ones


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("raise StopIteration('s')", "StopIteration"),
        ("raise SystemExit(3)", "SystemExit"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("raise TimeoutError('own')", "TimeoutError: own"),
        ("raise GeneratorExit", "GeneratorExit"),
        ("import asyncio; raise asyncio.CancelledError", "CancelledError"),
    ],
)
@pytest.mark.parametrize("kind", ["def", "async def"])
def test_no_exception_brings_the_host_down(kind, statement, words, devhost_host, tmp_path):
    source = f"@app.activity_trigger(input_name='x')\n{kind} act(x):\n    {statement}\n"
    host = start(devhost_host, tmp_path, source, head=DURABLE_APP)
    with pytest.raises(FunctionInvocationError, match=words):
        invoke(host, "act", Datum("1", "string"))
    assert host.get("/admin/host/ping").status_code == 200


# Retries


RETRIED = """
calls = []

@app.function_name("work")
@app.schedule(schedule="0 0 0 1 1 *", arg_name="t")
@app.retry(strategy="fixed_delay", max_retry_count="2", delay_interval="00:00:00.0200000")
def work(t, context: func.Context):
    calls.append(context)
    if len(calls) < fail_until:
        raise ValueError(f"attempt {len(calls)}")

@app.route()
@app.retry(strategy="exponential_backoff", max_retry_count="2", minimum_interval="00:00:00.0100000",
           maximum_interval="00:00:00.0200000")
def web(req, context: func.Context) -> str:
    calls.append(context)
    if len(calls) < 3:
        raise ValueError
    return "done"

fail_until = 3
"""


def test_a_failed_run_is_repeated_around_the_same_trigger(devhost_host, tmp_path, caplog):
    host = start(devhost_host, tmp_path, RETRIED)
    with caplog.at_level(logging.INFO):
        invoke(host, "work", TIMER)
    contexts = app_module().calls
    assert [context.retry_context.retry_count for context in contexts] == [0, 1, 2]
    assert {context.retry_context.max_retry_count for context in contexts} == {2}
    assert contexts[0].retry_context.exception is None
    assert contexts[1].retry_context.exception.message == "ValueError: attempt 1"
    assert "function_app.py" in contexts[2].retry_context.rpc_exception.stack_trace
    assert len({context.invocation_id for context in contexts}) == 1
    assert [record.outcome for record in host.invocations] == ["Failed", "Failed", "Succeeded"]
    waits = [line for line in caplog.messages if line.startswith("Waiting")]
    assert waits[0] == (
        "Waiting for `00:00:00.0200000` before retrying function execution. Next attempt: '1'. Max retry count: '2'."
    )
    assert len(waits) == 2


def test_exhausted_retries_are_an_error(devhost_host, tmp_path, caplog):
    host = start(devhost_host, tmp_path, RETRIED)
    app_module().fail_until = 99
    with pytest.raises(FunctionInvocationError, match="attempt 3"):
        invoke(host, "work", TIMER)
    assert "Function execution failed after '2' retries." in caplog.messages


def test_each_attempt_of_an_http_function_is_an_invocation_of_its_own(devhost_host, tmp_path):
    host = start(devhost_host, tmp_path, RETRIED)
    assert host.get("/api/web").text == "done"
    assert len({context.invocation_id for context in app_module().calls}) == 3


def test_host_json_gives_a_policy_to_every_function(devhost_host, tmp_path):
    policy = {"strategy": "fixedDelay", "maxRetryCount": 1, "delayInterval": "00:00:00.0100000"}
    source = "calls = []\n@app.route()\ndef f(req):\n    calls.append(1)\n    raise ValueError\n"
    host = start(devhost_host, tmp_path, source, host={"retry": policy})
    assert host.get("/api/f").status_code == 500
    assert len(app_module().calls) == 2


def test_pending_retries_end_when_the_host_stops(devhost_host, tmp_path):
    source = RETRIED.replace("00:00:00.0200000", "01:00:00")
    host = start(devhost_host, tmp_path, source)
    assert host.post("/admin/functions/work", json={"input": ""}).status_code == 202
    deadline = time.monotonic() + 100
    while not host.app.outstanding_retries:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert host.get("/admin/host/drain/status").json()["outstandingRetries"] == 1
    began = time.monotonic()
    host.stop(grace=100)
    assert time.monotonic() - began < 90
    assert [record.outcome for record in host.invocations] == ["Failed"]


# Timeouts


@pytest.mark.parametrize("kind", ["def", "async def"])
def test_a_function_that_takes_too_long_fails(kind, devhost_host, tmp_path, caplog):
    wait = "release.wait(20)" if kind == "def" else "await asyncio.sleep(20)"
    source = f"""
import asyncio, threading
release = threading.Event()

@app.activity_trigger(input_name="x")
{kind} act(x):
    {wait}
"""
    host = start(devhost_host, tmp_path, source, head=DURABLE_APP, host={"functionTimeout": "00:00:01"})
    with pytest.raises(FunctionInvocationError, match="Timeout value of 00:00:01 exceeded by function 'Functions.act'"):
        invoke(host, "act", Datum("1", "string"))
    [record] = host.invocations
    text = (
        f"Timeout value of 00:00:01 exceeded by function 'Functions.act' (Id: '{record.id}'). Initiating cancellation."
    )
    assert text in caplog.messages
    app_module().release.set()
