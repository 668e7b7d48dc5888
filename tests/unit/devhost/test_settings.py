"""Settings by name, `%NAME%` replacement, connections (functions-host.md §1.3, §1.4)."""

from __future__ import annotations

import pytest

from devhost.errors import MissingConnectionError, UnresolvedSettingError, UnsupportedBindingError
from devhost.local_settings import LocalSettings
from devhost.settings import Settings, effective_values


def test_names_ignore_case_and_double_underscores_are_colons():
    settings = Settings({"Queue__Name": "orders"})
    assert settings.get("queue:name") == settings.get("QUEUE__NAME") == "orders"
    assert settings.get("other") is None and settings.get("other", "x") == "x"


@pytest.mark.parametrize(
    ("text", "resolved"),
    [
        ("plain", "plain"),
        ("%QUEUE%", "orders"),
        ("%queue%", "orders"),
        ("in/%QUEUE%/%Q:N%", "in/orders/deep"),
        ("{name}-%QUEUE%", "{name}-orders"),
    ],
)
def test_tokens_are_replaced(text, resolved):
    assert Settings({"QUEUE": "orders", "Q__N": "deep"}).resolve(text) == resolved


@pytest.mark.parametrize("text", ["%MISSING%", "%EMPTY%", "%%", "%A__B%"])
def test_tokens_without_a_value(text):
    with pytest.raises(UnresolvedSettingError, match="does not resolve to a value"):
        Settings({"EMPTY": "", "A__B": "x"}).resolve(text)


def test_a_token_must_be_closed():
    with pytest.raises(UnresolvedSettingError, match="no closing"):
        Settings({"A": "x"}).resolve("a%A")


@pytest.mark.parametrize(
    ("values", "name", "service", "found"),
    [
        ({"AzureWebJobsStorage": "a"}, None, "storage", "a"),
        ({"AzureWebJobsStorage": "a"}, "", "storage", "a"),
        ({"AzureWebJobsStorage": "a"}, "Storage", "storage", "a"),
        ({"AzureWebJobsX": "prefixed", "X": "plain"}, "X", "storage", "prefixed"),
        ({"X": "plain"}, "X", "storage", "plain"),
        ({"ConnectionStrings:X": "section", "X": "root"}, "X", "storage", "section"),
        ({"AzureWebJobsServiceBus": "sb"}, None, "serviceBus", "sb"),
        ({"X": "plain", "X__queueServiceUri": "https://q"}, "X", "storage", "plain"),
    ],
)
def test_where_a_connection_is_looked_for(values, name, service, found):
    assert Settings(values).connection(name, service) == found


def test_a_missing_connection_is_named_as_the_host_names_it(tmp_path):
    with pytest.raises(
        MissingConnectionError, match="Storage account connection string 'AzureWebJobsX' does not exist"
    ):
        Settings({}, tmp_path).connection("X")
    with pytest.raises(MissingConnectionError, match="'AzureWebJobsStorage' does not exist"):
        Settings({}, tmp_path).connection(None)


def test_identity_connections_are_refused_by_name():
    with pytest.raises(UnsupportedBindingError, match="identity"):
        Settings({"X__accountName": "me"}).connection("X")


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ([], "Create local.settings.json"),
        (["local.settings.sample.json"], "copy local.settings.sample.json"),
        (["local.settings.json"], "Add 'X' to Values"),
    ],
)
def test_the_remedy_fits_what_is_there(files, words, tmp_path):
    for name in files:
        (tmp_path / name).write_text("{}")
    with pytest.raises(UnresolvedSettingError) as caught:
        Settings({}, tmp_path).resolve("%X%")
    assert words in caught.value.remedy


def test_the_real_environment_stands_before_the_file_and_overrides_before_both():
    local = LocalSettings({"A": "file", "b": "file", "C": "file"})
    assert effective_values(local, {"B": "real", "D": "real"}, {"D": "given"}) == {
        "A": "file", "C": "file", "B": "real", "D": "given",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("values", "variable"),
    [
        ({"AzureWebJobsShop": "A=1", "Shop": "A=2"}, "AzureWebJobsShop"),
        ({"SHOP": "A=2"}, "SHOP"),
        ({"ConnectionStrings__Shop": "A=3", "Shop": "A=2"}, "ConnectionStrings__Shop"),
    ],
)
def test_the_variable_that_holds_a_connection_is_named_as_the_environment_has_it(values, variable):
    assert Settings(values).connection_variable("Shop") == variable
