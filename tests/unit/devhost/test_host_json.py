"""host.json: version, defaults, overrides from the environment (functions-host.md §1.6)."""

from __future__ import annotations

from datetime import timedelta

import pytest

from devhost.errors import HostJsonError
from devhost.host_json import HostJson
from devhost.retry import RetryPolicy
from devhost.settings import Settings


def test_the_defaults():
    host = HostJson({"version": "2.0"})
    assert host.route_prefix == "api"
    assert host.function_timeout == timedelta(minutes=30)
    assert host.allowed_functions is None and host.retry_policy is None
    assert host.extension("queues") == {} and not host.has_extension_bundle


def test_what_is_written_counts():
    host = HostJson({
        "version": "2.0",
        "functionTimeout": "00:05:00",
        "functions": ["a"],
        "retry": {"strategy": "fixedDelay", "maxRetryCount": 1, "delayInterval": "00:00:02"},
        "logging": {"logLevel": {"default": "Warning", "Function.orders": "Debug"}},
        "extensions": {"HTTP": {"routePrefix": ""}, "queues": {"batchSize": 8}},
    })  # fmt: skip
    assert (host.route_prefix, host.function_timeout) == ("", timedelta(minutes=5))
    assert host.allowed_functions == ["a"]
    assert host.retry_policy == RetryPolicy(1, timedelta(seconds=2))
    assert host.log_levels == {"default": "Warning", "Function.orders": "Debug"}
    assert host.extension("queues") == {"batchSize": 8}


def test_a_timeout_of_minus_one_is_none():
    assert HostJson({"version": "2.0", "functionTimeout": "-1"}).function_timeout is None


def test_the_environment_overrides_any_value():
    settings = Settings({
        "AzureFunctionsJobHost__extensions__queues__batchSize": "4",
        "AzureFunctionsJobHost__Extensions__HTTP__RoutePrefix": "v2",
        "AzureFunctionsJobHost__functions__0": "only",
        "AzureFunctionsJobHost__logging__logLevel__Function.orders": "Error",
        "AzureFunctionsJobHost__extensions__durableTask__extendedSessionsEnabled": "True",
    })  # fmt: skip
    host = HostJson({"version": "2.0", "extensions": {"queues": {"batchSize": 16, "maxDequeueCount": 3}}}, settings)
    assert host.extension("queues") == {"batchSize": 4, "maxDequeueCount": 3}
    assert host.route_prefix == "v2"
    assert host.allowed_functions == ["only"]
    assert host.log_levels["Function.orders"] == "Error"
    assert host.extension("durableTask") == {"extendedSessionsEnabled": True}


def test_names_ignore_case():
    settings = Settings({"AZUREFUNCTIONSJOBHOST__EXTENSIONS__QUEUES__BATCHSIZE": "4"})
    queues = HostJson({"version": "2.0", "Extensions": {"queues": {}}}, settings).extension("Queues")
    assert queues["batchSize"] == queues.get("BatchSize") == 4 and "batchsize" in queues
    assert queues.get("other", 1) == 1 and "other" not in queues


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({}, "version"),
        ({"version": 2.0}, "version"),
        ({"version": "1.0"}, "version"),
        ({"version": "2.0", "functionTimeout": "soon"}, "functionTimeout"),
        ({"version": "2.0", "functionTimeout": "00:00:00.5"}, "functionTimeout"),
        ({"version": "2.0", "extensions": []}, "extensions"),
        ({"version": "2.0", "retry": {"strategy": "never"}}, "retry"),
    ],
)
def test_what_cannot_be_used_is_said(document, words):
    with pytest.raises(HostJsonError, match=words):
        HostJson(document)


def test_a_missing_and_a_broken_file(tmp_path):
    with pytest.raises(HostJsonError, match="There is no host.json") as missing:
        HostJson.load(tmp_path, Settings({}))
    assert "extensionBundle" in missing.value.remedy
    (tmp_path / "host.json").write_text("{")
    with pytest.raises(HostJsonError, match="cannot be read"):
        HostJson.load(tmp_path, Settings({}))
