"""Where an app's settings come from and what it sees of them: functions-host.md §1.5, §1.6."""

from __future__ import annotations

import json
import os

import pytest

from tests.conformance.apps import loaded, write_app

APP = """
import os
SEEN = dict(os.environ)

@app.route()
def x(req) -> str:
    return os.environ.get(req.params["name"], "(none)")
"""


@pytest.fixture
def app(tmp_path):
    document = {
        "IsEncrypted": False,
        "Values": {"FROM_FILE": "file", "BOTH": "file", "NOTHING": None},
        "ConnectionStrings": {"Db": "Server=x"},
        "Host": {"LocalHttpPort": 7123, "CORS": "*"},
    }
    (tmp_path / "local.settings.json").write_text(json.dumps(document))
    return write_app(tmp_path, APP)


def seen_by(app, monkeypatch=None, **options):
    import sys

    with loaded(app, **options):
        return sys.modules["function_app"].SEEN


def test_values_of_the_file_become_environment_variables_while_the_app_runs(app):
    seen = seen_by(app)
    assert seen["FROM_FILE"] == "file" and "NOTHING" not in seen
    assert seen["ConnectionStrings:Db"] == "Server=x"
    assert "FROM_FILE" not in os.environ


def test_the_real_environment_stands_before_the_file(app, monkeypatch):
    monkeypatch.setenv("BOTH", "real")
    assert seen_by(app)["BOTH"] == "real"


def test_what_the_host_sets_itself(app):
    seen = seen_by(app)
    assert seen["AZURE_FUNCTIONS_ENVIRONMENT"] == "Development"
    assert seen["FUNCTIONS_WORKER_RUNTIME"] == "python"
    assert seen["AzureWebJobsScriptRoot"] == str(app)
    assert seen["WEBSITE_HOSTNAME"] == "localhost:7123"


def test_the_environment_is_development_whatever_was_set(app, monkeypatch):
    monkeypatch.setenv("AZURE_FUNCTIONS_ENVIRONMENT", "Production")
    assert seen_by(app)["AZURE_FUNCTIONS_ENVIRONMENT"] == "Development"


def test_the_command_line_stands_before_the_file(app):
    assert seen_by(app, port=7200)["WEBSITE_HOSTNAME"] == "localhost:7200"


def test_host_json_can_be_overridden_by_settings(app):
    settings = {"AzureFunctionsJobHost__extensions__http__routePrefix": "v9"}
    with loaded(app, settings) as host:
        assert host.url_of(host.functions["x"]) == "http://localhost:7123/v9/x"


def test_under_test_the_file_is_left_alone(app, devhost_host):
    host = devhost_host(app, settings={"GIVEN": "1"})
    assert host.get("/api/x?name=FROM_FILE").text == "(none)"
    assert host.get("/api/x?name=GIVEN").text == "1"
    assert host.get("/api/x?name=WEBSITE_HOSTNAME").text == f"localhost:{host.port}"
