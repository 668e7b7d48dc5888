"""What cannot start says why, once and with a remedy: `start` and `check` on apps that are broken."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from devhost.cli import main
from tests.conformance.apps import DURABLE_APP, DURABLE_CLIENT, HEAD, write_app

pytestmark = pytest.mark.usefixtures("own_log")

ROOT = Path(__file__).resolve().parents[2]


# What cannot start


def no_host_json(folder):
    (folder / "host.json").unlink()


def port_taken(folder):
    taken = socket.socket()
    taken.bind(("127.0.0.1", 0))
    taken.listen()
    document = {"IsEncrypted": False, "Host": {"LocalHttpPort": taken.getsockname()[1]}}
    (folder / "local.settings.json").write_text(json.dumps(document))
    return taken


def import_error(folder):
    (folder / "function_app.py").write_text("import no_such_package\n")


def queue_function(queue="orders", connection="Missing"):
    def change(folder):
        decorator = f'@app.queue_trigger(arg_name="m", queue_name="{queue}", connection="{connection}")\n'
        source = f"{HEAD}app = func.FunctionApp()\n{decorator}def work(m): ...\n"
        (folder / "function_app.py").write_text(source)

    return change


def azurite_away(folder):
    queue_function(connection="Away")(folder)
    key = "AccountName=devstoreaccount1;AccountKey=a2V5;"
    values = {"Away": f"{key}QueueEndpoint=http://127.0.0.1:9/devstoreaccount1;"}
    (folder / "local.settings.json").write_text(json.dumps({"IsEncrypted": False, "Values": values}))


def broken_hub(folder):
    (folder / "hub.sqlite3").write_text("this is no database" * 100)
    (folder / "function_app.py").write_text(f"{DURABLE_APP}{DURABLE_CLIENT}")
    values = {"DEVHOST_TASK_HUB": str(folder / "hub.sqlite3")}
    (folder / "local.settings.json").write_text(json.dumps({"IsEncrypted": False, "Values": values}))


def no_such_address(folder):
    document = {"IsEncrypted": False, "Host": {"LocalHttpAddress": "192.0.2.1"}}
    (folder / "local.settings.json").write_text(json.dumps(document))


def encrypted(folder):
    (folder / "local.settings.json").write_text('{"Values": {}}')


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param(no_host_json, ["There is no host.json", "extensionBundle"], id="no host.json"),
        pytest.param(port_taken, ["is unavailable", "--port"], id="port taken"),
        pytest.param(import_error, ["no_such_package", "requirements.txt"], id="import error"),
        pytest.param(queue_function(queue="%Q%"), ["'%Q%' does not resolve", "local.settings.json"], id="setting"),
        pytest.param(
            queue_function(), ["'AzureWebJobsMissing' does not exist", "local.settings.json"], id="connection"
        ),
        pytest.param(azurite_away, ["127.0.0.1:9", "npx azurite", "make run"], id="Azurite away"),
        pytest.param(encrypted, ["IsEncrypted"], id="encrypted settings"),
        pytest.param(broken_hub, ["hub.sqlite3", "not a database", "--task-hub"], id="no hub's file"),
        pytest.param(no_such_address, ["192.0.2.1", "--address"], id="address of another machine"),
    ],
)
def test_what_keeps_a_host_from_starting_is_said_once_with_a_remedy(change, words, tmp_path, capfd):
    write_app(tmp_path, "@app.route()\ndef x(req): ...\n")
    held = change(tmp_path)
    arguments = ["start", "--script-root", str(tmp_path)] + ([] if change is port_taken else ["--port", "0"])
    result = subprocess.run(
        [sys.executable, "-m", "devhost", *arguments], capture_output=True, text=True, timeout=60,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert result.returncode == 1
    for word in words:
        assert word in result.stderr, result.stderr
    assert "  -> " in result.stderr
    if change is not import_error:
        assert "Traceback" not in result.stdout + result.stderr
    if held is not None:
        held.close()


def test_the_app_is_looked_for_upwards(tmp_path, monkeypatch, capsys):
    write_app(tmp_path, "@app.route()\ndef x(req): ...\n")
    (tmp_path / "deep" / "er").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "deep" / "er")
    assert main(["check"]) == 0
    assert "\tx:" in capsys.readouterr().out


def test_no_app_anywhere(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["check"]) == 1
    assert "--script-root" in capsys.readouterr().err
    assert main(["check", "--script-root", str(tmp_path / "none")]) == 1


# check


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("@app.route()\ndef bad(req, more): ...\n", "The 'bad' function is in error"),
        ('@app.queue_trigger(arg_name="m", queue_name="%Q%", connection="C")\ndef bad(m): ...\n', "'%Q%' does not"),
        (
            '@app.queue_trigger(arg_name="m", queue_name="qqq", connection="C")\ndef bad(m): ...\n',
            "'AzureWebJobsC' does",
        ),
        ("raise ValueError('at import')\n", "ValueError: at import"),
    ],
)
def test_check_fails_with_the_cause(source, words, tmp_path, capsys):
    write_app(tmp_path, "@app.route()\ndef good(req): ...\n" + source)
    assert main(["check", "--script-root", str(tmp_path)]) == 1
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("extensions", "words"),
    [
        ({"queues": {"batchSize": 99}}, "extensions.queues.batchSize is '99'"),
        ({"queues": 5}, "'queues' in host.json must be an object"),
        ({"blobs": {"maxDegreeOfParallelism": 0}}, "extensions.blobs.maxDegreeOfParallelism is '0'"),
        ({"durableTask": {"maxConcurrentActivityFunctions": "many"}}, 'maxConcurrentActivityFunctions is "many"'),
        ({"durableTask": {"hubName": "%HUB%"}}, "'%HUB%' does not resolve"),
        ({"durableTask": {"hubName": "a/b"}}, "hubName is 'a/b'"),
    ],
)
@pytest.mark.parametrize("command", ["check", "start"])
def test_sections_of_host_json_that_the_app_needs_are_checked(command, extensions, words, tmp_path, capsys):
    queue = '@app.queue_output(arg_name="o", queue_name="qqq", connection="C")\n@app.route()\ndef x(req, o): ...\n'
    blob = '@app.blob_trigger(arg_name="b", path="ccc", connection="C")\ndef y(b): ...\n'
    write_app(tmp_path, DURABLE_CLIENT + queue + blob, head=DURABLE_APP, host={"extensions": extensions})
    values = {"C": "UseDevelopmentStorage=true"}
    (tmp_path / "local.settings.json").write_text(json.dumps({"IsEncrypted": False, "Values": values}))
    assert main([command, "--script-root", str(tmp_path), "--port", "0"]) == 1
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_an_import_that_hangs(number, tmp_path):
    write_app(tmp_path, "import time\nprint('importing', flush=True)\ntime.sleep(60)\n")
    command = [sys.executable, "-m", "devhost", "start", "--script-root", str(tmp_path), "--port", "0"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    ) as process:
        while process.stdout.readline() not in ("importing\n", ""):
            pass
        process.send_signal(number)
        assert process.wait(30) == -number
        assert process.stdout.read() == ""


def test_check_of_an_app_without_functions_fails(tmp_path, capsys):
    write_app(tmp_path, "")
    assert main(["check", "--script-root", str(tmp_path)]) == 1
    assert "No job functions found" in capsys.readouterr().err


def test_check_warns_of_a_missing_extension_bundle(tmp_path, capsys):
    write_app(
        tmp_path, '@app.queue_output(arg_name="o", queue_name="qqq", connection="C")\n@app.route()\ndef x(req, o): ...'
    )
    (tmp_path / "host.json").write_text('{"version": "2.0"}')
    main(["check", "--script-root", str(tmp_path)])
    assert "no extensionBundle" in capsys.readouterr().out
