"""TestHost itself: requests, drain, faults, time, and what it leaves behind."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
from datetime import timedelta

import pytest

from devhost.clock import Clock
from devhost.errors import AppLoadError
from devhost.testing import TestHost
from tests.conformance.apps import DURABLE_APP, write_app

APP = """
@app.route(route="echo/{x?}")
def echo(req) -> str:
    logging.info("echoing")
    return req.route_params.get("x", "") + req.get_body().decode()

@app.route()
def boom(req) -> str:
    raise ValueError("boom")
"""


@pytest.fixture
def app(tmp_path):
    return write_app(tmp_path, APP)


def test_requests_by_path_and_by_whole_url(app):
    with TestHost(app) as host:
        assert host.get("/api/echo/a").text == "a"
        assert host.post(f"http://localhost:{host.port}/api/echo", content=b"b").text == "b"
        assert host.request("PUT", "/api/echo/", content=b"c").text == "c"
        assert host.url == f"http://{host.host}:{host.port}"


def test_invocations_and_failures_are_kept(app):
    with TestHost(app) as host:
        host.get("/api/echo")
        host.get("/api/boom")
    assert [(record.function, record.outcome) for record in host.invocations] == [
        ("echo", "Succeeded"), ("boom", "Failed"),
    ]  # fmt: skip
    [failure] = host.failures
    assert failure.error.message == "ValueError: boom"


def test_an_apps_log_lines_reach_caplog(app, caplog):
    with TestHost(app) as host:
        host.get("/api/echo")
    assert "echoing" in caplog.messages
    assert any(line.startswith("Executed 'Functions.echo' (Succeeded") for line in caplog.messages)


def test_drain_raises_the_hosts_own_faults_once(app):
    with TestHost(app) as host:
        host.call(host.app.failed, ZeroDivisionError("a listener's bug"))
        with pytest.raises(ZeroDivisionError, match="a listener's bug"):
            host.drain()
        host.app.faults.clear()
        host.drain()


def test_a_fault_that_no_drain_saw_fails_the_block(app):
    with pytest.raises(ZeroDivisionError), TestHost(app) as host:
        host.call(host.app.failed, ZeroDivisionError())


def test_drain_waits_for_what_runs_and_says_what_it_waits_for(tmp_path):
    source = """
    import threading
    gate = threading.Event()

    @app.route()
    def wait(req) -> str:
        gate.wait(20)
        return "x"
    """
    with TestHost(write_app(tmp_path, source)) as host:
        thread = threading.Thread(target=host.get, args=("/api/wait",))
        thread.start()
        while not host.app.outstanding:
            threading.Event().wait(0.005)
        with pytest.raises(TimeoutError, match="running: wait"):
            host.drain(timeout=0.2)
        sys.modules["function_app"].gate.set()
        host.drain()
        assert [record.function for record in host.invocations] == ["wait"]
        thread.join()


class Alarm:
    """A part of a host that waits for moments on its clock, and works a little at each."""

    def __init__(self, host, days):
        self.rung = []
        self._idle = True
        self._host = host
        self.task = asyncio.get_running_loop().create_task(self._run(host.app.clock, days))

    async def _run(self, clock, days):
        start = clock.now()
        for day in days:
            await clock.sleep_until(start + timedelta(days=day))
            self._idle = False
            await asyncio.sleep(0.02)
            self.rung.append((day, round((clock.now() - start) / timedelta(days=1), 3)))
            self._idle = True

    def is_idle(self):
        return self._idle

    async def stop(self):
        self.task.cancel()


def test_advance_stops_at_every_moment_that_somebody_waits_for(app):
    with TestHost(app) as host:

        async def set_alarm():
            alarm = Alarm(host, [1, 2, 40])
            host.app._listeners.append(alarm)
            return alarm

        alarm = host.call(set_alarm)
        host.advance(days=30)
        assert alarm.rung == [(1, 1.0), (2, 2.0)]
        host.advance(timedelta(days=9))
        assert len(alarm.rung) == 2
        host.advance(days=1, hours=1)
        assert alarm.rung[2] == (40, 40.0)


def test_advance_needs_a_virtual_clock(app):
    with TestHost(app, clock=Clock()) as host, pytest.raises(TypeError, match="VirtualClock"):
        host.advance(days=1)


def test_what_cannot_start_raises_and_leaves_nothing(tmp_path):
    write_app(tmp_path, "import no_such_package")
    with pytest.raises(AppLoadError, match="no_such_package"), TestHost(tmp_path):
        pass
    assert "function_app" not in sys.modules and os.getcwd() != str(tmp_path)


def test_libraries_that_keep_a_session_for_the_process_work_in_the_next_host(tmp_path):
    """The Durable SDK's client does; its session belongs to the loop of the first host."""
    source = """
    @app.route()
    @app.durable_client_input(client_name="client")
    async def start(req: func.HttpRequest, client) -> func.HttpResponse:
        return func.HttpResponse(await client.start_new("flow"))

    @app.orchestration_trigger(context_name="context")
    def flow(context):
        return 1
        yield
    """
    write_app(tmp_path, source, head=DURABLE_APP)
    for _ in range(2):
        with TestHost(tmp_path) as host:
            assert host.get("/api/start").status_code == 200


def test_tasks_that_an_app_left_behind_end_with_its_host(tmp_path):
    source = """
    import asyncio
    ended = []

    async def forever():
        try:
            await asyncio.sleep(3600)
        finally:
            ended.append(1)

    @app.route()
    async def leave(req) -> str:
        global task
        task = asyncio.create_task(forever())
        await asyncio.sleep(0)
        return "x"
    """
    with TestHost(write_app(tmp_path, source)) as host:
        host.get("/api/leave")
        module = sys.modules["function_app"]
        assert not module.ended
    assert module.ended == [1]


def test_hosts_one_after_the_other_do_not_share_modules(tmp_path):
    for name in ("one", "two"):
        source = f"import helper\n@app.route()\ndef which(req) -> str: return helper.NAME + {name!r}\n"
        with TestHost(write_app(tmp_path / name, source, helper=f"NAME = {name!r}")) as host:
            assert host.get("/api/which").text == name * 2


def test_two_hosts_of_one_app_at_once(app):
    with TestHost(app) as one, TestHost(app) as two:
        assert one.port != two.port
        assert one.get("/api/echo/1").text == two.get("/api/echo/1").text == "1"


def test_the_root_loggers_level_is_put_back(app):
    level = logging.getLogger().level
    with TestHost(app):
        assert logging.getLogger().level <= logging.INFO
    assert logging.getLogger().level == level


def test_call_takes_functions_and_coroutine_functions(app):
    async def thread_name():
        return threading.current_thread().name

    with TestHost(app) as host:
        assert host.call(thread_name) == host.call(lambda: threading.current_thread().name) == "devhost"
        with pytest.raises(ZeroDivisionError):
            host.call(lambda: 1 / 0)
