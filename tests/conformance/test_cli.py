"""`python -m devhost start` and `check` as a person uses them: functions-host.md §8 and §9."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import pytest

from devhost.cli import main
from tests.acceptance.processes import wait_until
from tests.conformance.apps import write_app

pytestmark = pytest.mark.usefixtures("own_log")

ROOT = Path(__file__).resolve().parents[2]
APP = """
import asyncio, time

@app.route(route="hello/{name?}", methods=["GET", "POST"])
def hello(req: func.HttpRequest) -> str:
    logging.info("saying hello")
    logging.debug("not shown")
    print("printed")
    return "hello"

@app.route()
def any_method(req) -> str:
    return "x"

@app.route()
def slow(req) -> str:
    print("slow began", flush=True)
    time.sleep(float(req.params["seconds"]))
    return "slow"

@app.route()
async def slow_async(req) -> str:
    print("slow began", flush=True)
    await asyncio.sleep(float(req.params["seconds"]))
    return "slow"

@app.warm_up_trigger(arg_name="w")
def warmup(w): ...
"""


class Started:
    """A host in its own process; its output is read as it comes."""

    def __init__(self, folder, *arguments, environment=None):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "devhost", "start", "--script-root", str(folder), "--port", "0", *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})},
        )  # fmt: skip
        self.lines: list[str] = []
        self._grown = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()
        self.url = self.wait_for(r"Host ready in [\d.]+ s at (http://localhost:\d+)").group(1)

    def _read(self):
        for line in self.process.stdout:
            with self._grown:
                self.lines.append(line.rstrip("\n"))
                self._grown.notify_all()
        with self._grown:
            self.lines.append("(end)")
            self._grown.notify_all()

    @property
    def output(self):
        return "".join(f"{line}\n" for line in self.lines)

    def wait_for(self, pattern):
        """The match, once the output has it."""
        found = None

        def look():
            nonlocal found
            found = re.search(pattern, self.output)
            return found or self.lines[-1:] == ["(end)"]

        with self._grown:
            self._grown.wait_for(look, 20)
        assert found, f"no {pattern!r} in\n{self.output}"
        return found

    def end(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        code = self.process.wait(100)
        self.wait_for(r"\(end\)")
        return code


@pytest.fixture
def start(tmp_path):
    started = []

    def start(source=APP, *arguments, host=None, environment=None, **given):
        started.append(Started(write_app(tmp_path, source, host=host, **given), *arguments, environment=environment))
        return started[-1]

    yield start
    for process in started:
        if process.process.poll() is None:
            process.process.kill()
        process.process.wait()
        process.process.stdout.close()


# The banner


def test_all_functions_are_listed_http_first(start):
    host = start()
    listing = host.output.split("Functions:")[1].split("Host ready")[0]
    names = re.findall(r"^\t(\w+):", listing, re.MULTILINE)
    assert names == ["any_method", "hello", "slow", "slow_async", "warmup"]
    assert f"\thello: [GET,POST] {host.url}/api/hello/{{name?}}\n\n" in listing
    assert f"\tany_method:  {host.url}/api/any_method\n" in listing
    assert "\twarmup: warmupTrigger\n" in listing
    assert "For detailed output, run devhost with --verbose flag." in host.output
    assert host.end() == 0


def test_disabled_functions_are_named(start):
    host = start(environment={"AzureWebJobs.warmup.Disabled": "true"})
    assert "Function warmup is disabled." in host.output and "\twarmup:" not in host.output


def test_the_list_of_an_app_that_is_all_disabled_has_no_heading(start):
    source = "@app.route()\ndef x(req): ...\n"
    assert "Functions:" not in start(source, environment={"AzureWebJobs.x.Disabled": "true"}).output


def test_functions_can_be_chosen(start):
    host = start(APP, "--functions", "hello", "SLOW")
    assert re.findall(r"^\t(\w+):", host.output, re.MULTILINE) == ["hello", "slow"]


def test_a_function_in_error_is_reported_and_the_others_run(start):
    host = start(APP + "@app.route()\ndef bad(req) -> None: ...\n")
    host.wait_for("The 'bad' function is in error")
    assert "\tbad:" not in host.output
    assert httpx.get(f"{host.url}/api/hello").text == "hello"


def test_check_lists_a_good_app(tmp_path, capsys):
    write_app(tmp_path, APP)
    assert main(["check", "--script-root", str(tmp_path)]) == 0
    captured = capsys.readouterr()
    assert "\thello: [GET,POST] http://localhost:7071/api/hello/{name?}" in captured.out and captured.err == ""


# The log


def test_log_lines_have_their_exact_shape(start):
    host = start()
    httpx.get(f"{host.url}/api/hello")
    prefix = r"\[\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\] "
    guid = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
    reason = "This function was programmatically called via the host APIs."
    begun = host.wait_for(rf"{prefix}Executing 'Functions.hello' \(Reason='{re.escape(reason)}', Id=({guid})\)\n")
    host.wait_for(rf"{prefix}Executed 'Functions.hello' \(Succeeded, Id={begun.group(1)}, Duration=\d+ms\)\n")
    host.wait_for(rf"{prefix}saying hello\n")
    host.wait_for(r"(?m)^printed$")
    assert "not shown" not in host.output


def test_a_failure_is_logged_with_the_functions_own_traceback(start):
    host = start("@app.route()\ndef boom(req):\n    return 1 / 0\n")
    assert httpx.get(f"{host.url}/api/boom").content == b""
    host.wait_for(
        r"Executed 'Functions.boom' \(Failed, Id=[0-9a-f-]{36}, Duration=\d+ms\)\n"
        r"Result: Failure\nException: ZeroDivisionError: division by zero\nStack: Traceback[^\n]*\n"
        r"  File \"[^\"]*function_app.py\", line \d+, in boom\n"
    )


LOGGING = """
@app.route()
def work(req) -> str:
    for level in ("debug", "info", "warning"):
        getattr(logging.getLogger("mine"), level)(f"user {level}")
    return "x"
"""


def test_the_default_levels_show_the_app_and_hide_the_host(start):
    host = start(LOGGING)
    httpx.get(f"{host.url}/api/work")
    host.wait_for("Executed 'Functions.work'")
    assert re.findall(r"user \w+", host.output) == ["user info", "user warning"]


def test_host_json_sets_levels_by_category(start):
    levels = {"Function.work.User": "Debug", "Function.work": "Warning"}
    host = start(LOGGING, host={"logging": {"logLevel": levels}})
    httpx.get(f"{host.url}/api/work")
    host.end()
    assert re.findall(r"user \w+", host.output) == ["user debug", "user info", "user warning"]
    assert "Execut" not in host.output


# Stopping


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_an_idle_host_with_0(number, start):
    host = start()
    assert host.end(number) == 0
    assert "Traceback" not in host.output


def ask_slow(host, seconds, name="slow"):
    """A request under way; its answer, or its error, comes into the list."""
    answers = []

    def ask():
        try:
            answers.append(httpx.get(f"{host.url}/api/{name}?seconds={seconds}", timeout=30).text)
        except httpx.HTTPError as error:
            answers.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    host.wait_for("slow began")
    return thread, answers


@pytest.mark.parametrize("name", ["slow", "slow_async"])
def test_running_work_ends_before_the_host_does(name, start):
    host = start()
    thread, answers = ask_slow(host, 1, name)
    assert host.end() == 0
    thread.join()
    assert answers == ["slow"]
    assert re.search(rf"Executed 'Functions.{name}' \(Succeeded", host.output)


def test_new_connections_are_refused_while_it_drains(start):
    host = start()
    thread, _ = ask_slow(host, 1.5)
    host.process.send_signal(signal.SIGTERM)
    host.wait_for("Stopping")

    def is_refused():
        try:
            httpx.get(f"{host.url}/api/hello")
        except httpx.ConnectError:
            return True
        except httpx.TransportError:
            pass  # it came between the word and the deed
        return False

    wait_until(is_refused, "the door is closed")
    assert thread.is_alive(), "the door was closed only when all was done"
    thread.join()
    assert host.process.wait(100) == 0


@pytest.mark.parametrize("name", ["slow", "slow_async"])
def test_work_that_outlives_the_grace_is_cut_off(name, start):
    host = start(APP, "--grace", "0.3")
    thread, answers = ask_slow(host, 15, name)
    assert host.end() == 1
    thread.join()
    assert isinstance(answers[0], httpx.HTTPError)
    assert "cut off" in host.output


def test_a_second_signal_cuts_off_at_once(start):
    host = start()
    thread, _ = ask_slow(host, 15)
    host.process.send_signal(signal.SIGINT)
    host.wait_for("Stopping")
    assert host.end(signal.SIGINT) == 1
    thread.join()


# Options


@pytest.mark.parametrize("flag", ["--script-root", "--prefix"])
def test_both_spellings_of_the_script_root(flag, tmp_path, capsys):
    write_app(tmp_path, "@app.route()\ndef x(req): ...\n")
    assert main(["check", flag, str(tmp_path)]) == 0


def test_keys_are_asked_for_and_named_with_enable_auth(start):
    host = start("@app.route(auth_level=func.AuthLevel.FUNCTION)\ndef x(req) -> str: return 'x'\n", "--enableAuth")
    path = Path(host.wait_for(r"they are in (\S+)").group(1))
    key = json.loads(path.read_text())["functionKeys"]["default"]
    assert httpx.get(f"{host.url}/api/x").status_code == 401
    assert httpx.get(f"{host.url}/api/x", headers={"x-functions-key": key}).text == "x"


def test_cors_on_the_command_line_stands_before_the_file(start, tmp_path):
    (tmp_path / "local.settings.json").write_text(json.dumps({"IsEncrypted": False, "Host": {"CORS": "http://file"}}))
    host = start(APP, "--cors", "http://line", "--cors-credentials")
    headers = httpx.get(f"{host.url}/api/hello", headers={"Origin": "http://line"}).headers
    assert headers["access-control-allow-origin"] == "http://line"
    assert headers["access-control-allow-credentials"] == "true"
    refused = httpx.get(f"{host.url}/api/hello", headers={"Origin": "http://file"}).headers
    assert "access-control-allow-origin" not in refused
