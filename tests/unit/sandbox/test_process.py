"""`python -m sandbox` as a parent process sees it: ready line, signal, exit code."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import httpx
import pytest


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "sandbox", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_says_where_it_is_and_ends_on_a_signal(number):
    with start("--port", "0", "--smtp-port", "0") as process:
        ready = json.loads(process.stdout.readline())
        assert httpx.get(f"{ready['url']}/health").json() == {"status": "ok"}
        assert ready["smtp"].startswith("smtp://127.0.0.1:")
        process.send_signal(number)
        assert process.wait(100) == 0
        assert process.stderr.read() == ""


def test_a_taken_port_is_one_line_and_exit_code_1():
    with start("--port", "0", "--smtp-port", "0") as first:
        port = json.loads(first.stdout.readline())["url"].rsplit(":", 1)[1]
        with start("--port", port, "--smtp-port", "0") as second:
            assert second.wait(100) == 1
            assert second.stderr.read().count("\n") == 1
        first.terminate()
