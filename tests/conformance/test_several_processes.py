"""Several hosts of one app as processes of one machine, of which one is killed."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import httpx
import pytest
from azure.storage.blob import BlobClient, BlobLeaseClient

from devhost.singleton import HOSTS_CONTAINER
from tests.conformance.apps import DURABLE_APP, until, write_app
from tests.conformance.storage_host import new_name
from tests.forked import Popen

ROOT = Path(__file__).resolve().parents[2]
APP = """
import os, time

@app.timer_trigger(arg_name="t", schedule="* * * * * *")
def tick(t: func.TimerRequest):
    print("tick", flush=True)

@app.route()
@app.durable_client_input(client_name="client")
async def begin(req, client) -> str:
    return await client.start_new("work", instance_id="one")

@app.orchestration_trigger(context_name="context")
def work(context):
    return (yield context.call_activity("slow", None))

@app.activity_trigger(input_name="x")
def slow(x) -> int:
    print("slow began", flush=True)
    time.sleep(float(os.environ["SLOW"]))
    return os.getpid()
"""


class Process:
    """`python -m devhost start`, and what it prints."""

    def __init__(self, folder: Path, settings: dict[str, str], slow: float) -> None:
        self.log = folder.parent / f"{new_name('log')}.txt"
        with self.log.open("w") as log:
            self.process = Popen(
                [sys.executable, "-m", "devhost", "start", "--script-root", str(folder), "--port", "0"],
                stdout=log, stderr=log, env={**os.environ, "PYTHONPATH": str(ROOT), **settings, "SLOW": str(slow)},
            )  # fmt: skip
        until(lambda: "Host ready" in self.text)
        self.url = re.search(r"Host ready in .* at (http://localhost:\d+)", self.text)[1]

    @property
    def text(self) -> str:
        return self.log.read_text()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def start(tmp_path, azurite):
    folder = write_app(tmp_path / "app", APP, head=DURABLE_APP)
    settings = {"AzureWebJobsStorage": azurite.connection_string, "AzureFunctionsWebHost__hostid": new_name("host")}
    running = []

    def start(slow: float) -> Process:
        running.append(Process(folder, settings, slow))
        return running[-1]

    start.host_id = settings["AzureFunctionsWebHost__hostid"]
    yield start
    for process in running:
        process.kill()


def test_a_killed_process_hands_its_instances_over_at_once_and_its_timers_within_the_lease(start, azurite):
    first = start(60)
    httpx.get(f"{first.url}/api/begin").raise_for_status()
    until(lambda: "slow began" in first.text and first.text.count("\ntick") > 1)
    second = start(0)
    before = first.text.count("\ntick")
    until(lambda: first.text.count("\ntick") > before)
    assert "\ntick" not in second.text
    first.kill()
    status = f"{second.url}/runtime/webhooks/durabletask/instances/one"
    until(lambda: httpx.get(status).json()["runtimeStatus"] == "Completed")
    assert httpx.get(status).json()["output"] == second.process.pid
    assert "\ntick" not in second.text, "the lease of the dead still counts"
    # Its end is not waited for here.
    name = f"locks/{start.host_id}/Host.Functions.tick.Listener"
    with BlobClient.from_connection_string(azurite.connection_string, HOSTS_CONTAINER, name) as lock:
        BlobLeaseClient(lock).break_lease(0)
    until(lambda: "\ntick" in second.text)
