"""Microsoft's own samples run on devhost without a change: what they answer here is what their READMEs promise."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conformance import microsoft_samples


@pytest.fixture(scope="session")
def samples() -> Path:
    try:
        return microsoft_samples.fetch("azure-functions-durable")
    except subprocess.CalledProcessError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"the source distribution of azure-functions-durable cannot be had here: {error}")


def await_output(host, started):
    """Follow the check-status answer that a sample gives, as its README does, to the orchestration's output."""
    assert started.status_code == 202, started.text
    host.drain()
    status = host.get(started.json()["statusQueryGetUri"]).json()
    assert status["runtimeStatus"] == "Completed", status
    return status["output"]


def test_function_chaining(samples, devhost_host):
    host = devhost_host(samples / "samples-v2" / "function_chaining")
    started = host.post("/api/orchestrators/my_orchestrator")
    assert await_output(host, started) == ["Hello Tokyo!", "Hello Seattle!", "Hello London!"]


def test_blueprint(samples, devhost_host):
    host = devhost_host(samples / "samples-v2" / "blueprint")
    assert await_output(host, host.post("/api/startOrchestrator")) == [
        "Hello Tokyo!",
        "Hello Seattle!",
        "Hello London!",
    ]
    assert host.get("/api/HttpTrigger?name=Ada").text.startswith("Hello, Ada.")


def test_fan_out_fan_in(samples, devhost_host, azurite):
    root = samples / "samples" / "fan_in_fan_out"
    expected = sum(
        path.stat().st_size
        for path in root.rglob("*")
        if "E2_" in path.parent.name and path.name in ("__init__.py", "function.json")
    )
    host = devhost_host(
        samples / "samples-v2" / "fan_in_fan_out", settings={"AzureWebJobsStorage": azurite.connection_string}
    )
    started = host.post("/api/orchestrators/E2_BackupSiteContent", json=str(root))
    assert await_output(host, started) == expected > 0


def test_orchestration_versioning(samples, devhost_host):
    host = devhost_host(samples / "samples-v2" / "orchestration_versioning")
    started = host.post("/api/orchestrators/my_orchestrator")
    host.drain()
    host.post(started.json()["sendEventPostUri"].replace("{eventName}", "Continue"), json=True)
    output = await_output(host, started)
    assert output[0].startswith("Orchestration version: ") and output[-1] in ("Hello from A!", "Hello from B!")


# Microsoft has no v2 edition of this sample: its two functions are taken as they are and only bound by decorators,
# the Twilio output by a queue output.
HUMAN_INTERACTION = """
import importlib.util
import pathlib

import azure.durable_functions as df
import azure.functions as func

SAMPLE = pathlib.Path({sample!r})


def load(name):
    spec = importlib.util.spec_from_file_location(name, SAMPLE / name / "__init__.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)

SendSMSChallenge = app.function_name("SendSMSChallenge")(
    app.activity_trigger(input_name="phoneNumber")(
        app.queue_output(arg_name="message", queue_name="sms", connection="AzureWebJobsStorage")(
            load("SendSMSChallenge").main)))
E4_SMSPhoneVerification = app.function_name("E4_SMSPhoneVerification")(
    app.orchestration_trigger(context_name="context")(load("E4_SMSPhoneVerification").orchestrator_function))


@app.route(route="orchestrators/{{functionName}}")
@app.durable_client_input(client_name="client")
async def http_start(req: func.HttpRequest, client):
    instance_id = await client.start_new(req.route_params["functionName"], client_input=req.get_json())
    return client.create_check_status_response(req, instance_id)
"""


@pytest.fixture
def verification(samples, devhost_host, azurite, tmp_path):
    """A verification that waits for the answer to its challenge: the host, the answer to the start, the code sent."""
    from azure.storage.queue import QueueClient, TextBase64DecodePolicy

    shutil.copy(samples / "samples-v2" / "function_chaining" / "host.json", tmp_path)
    source = HUMAN_INTERACTION.format(sample=str(samples / "samples" / "human_interaction"))
    (tmp_path / "function_app.py").write_text(source)
    host = devhost_host(tmp_path, settings={"AzureWebJobsStorage": azurite.connection_string})
    started = host.post("/api/orchestrators/E4_SMSPhoneVerification", json="+15551234567")
    host.drain()
    with QueueClient.from_connection_string(
        azurite.connection_string, "sms", message_decode_policy=TextBase64DecodePolicy()
    ) as queue:
        sms = queue.receive_message()
        queue.delete_message(sms)
    return host, started, json.loads(sms.content)["body"].rsplit(" ", 1)[1]


def answer(host, started, code):
    host.post(started.json()["sendEventPostUri"].replace("{eventName}", "SmsChallengeResponse"), json=code)
    host.drain()


def test_human_interaction_right_answer(verification):
    host, started, code = verification
    answer(host, started, "not the code")
    assert host.get(started.json()["statusQueryGetUri"]).json()["runtimeStatus"] == "Running"
    answer(host, started, code)
    assert await_output(host, started) is True


def test_human_interaction_time_out(verification):
    host, started, _ = verification
    host.advance(seconds=181)
    assert await_output(host, started) is False
