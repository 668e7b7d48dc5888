"""The operator's commands: what they print, and one line that helps when they cannot."""

from __future__ import annotations

import io
import json
from uuid import uuid4

import pytest

from jobs.commands.program import main
from jobs.settings import settings
from tests.orders import article

pytestmark = pytest.mark.usefixtures("at_azurite")


def listed(capsys) -> dict[str, dict]:
    assert main(["stock", "list", "--json"]) == 0
    return {row["sku"]: row for row in json.loads(capsys.readouterr().out)}


def test_stock_is_loaded_and_listed(tmp_path, capsys):
    wanted = article(f"A{uuid4().hex[:8].upper()}", 7, 1250)
    file = tmp_path / "stock.json"
    file.write_text(json.dumps([wanted]))
    assert main(["stock", "load", str(file)]) == 0
    assert "1 article loaded" in capsys.readouterr().out
    assert listed(capsys)[wanted["sku"]] == wanted | {"held": 0}


def test_stock_from_stdin_as_a_table(monkeypatch, capsys):
    wanted = article(f"A{uuid4().hex[:8].upper()}", 7, 1250)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(json.dumps([wanted, wanted]).encode())))
    assert main(["stock", "load", "-"]) == 0
    assert "2 articles loaded" in capsys.readouterr().out
    assert main(["stock", "list"]) == 0
    table = capsys.readouterr().out
    assert wanted["sku"] in table
    assert "12.50 EUR" in table


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "not JSON"),
        ("{}", "list"),
        ('[{"sku": "MUG"}]', "0.price"),
        (json.dumps([article("MUG", -1)]), "0.available"),
    ],
)
def test_a_wrong_file_changes_nothing_and_is_explained(tmp_path, capsys, content, said):
    before = listed(capsys)
    file = tmp_path / "stock.json"
    file.write_text(content)
    assert main(["stock", "load", str(file)]) == 1
    assert said in capsys.readouterr().err
    assert listed(capsys) == before


def test_a_missing_file_is_named(capsys):
    assert main(["stock", "load", "nowhere.json"]) == 1
    assert "nowhere.json" in capsys.readouterr().err


def test_missing_storage_is_named(monkeypatch, capsys):
    monkeypatch.delenv("AzureWebJobsStorage")
    settings.cache_clear()
    assert main(["stock", "list"]) == 1
    assert "AzureWebJobsStorage" in capsys.readouterr().err


def test_a_connection_string_that_is_none_is_named(monkeypatch, capsys):
    monkeypatch.setenv("AzureWebJobsStorage", "nonsense")
    settings.cache_clear()
    assert main(["stock", "list"]) == 1
    assert "AzureWebJobsStorage" in capsys.readouterr().err


@pytest.mark.parametrize("content", ["{", "[]", '{"Values": 7}'])
def test_local_settings_that_cannot_be_read_are_named(tmp_path, capsys, content):
    (tmp_path / "local.settings.json").write_text(content)
    assert main(["stock", "list"]) == 1
    assert "local.settings.json" in capsys.readouterr().err


def test_settings_come_from_local_settings_json(monkeypatch, tmp_path, azurite, capsys):
    monkeypatch.delenv("AzureWebJobsStorage")
    settings.cache_clear()
    values = {"AzureWebJobsStorage": azurite.connection_string}
    (tmp_path / "local.settings.json").write_text(json.dumps({"IsEncrypted": False, "Values": values}))
    assert main(["stock", "list", "--json"]) == 0
