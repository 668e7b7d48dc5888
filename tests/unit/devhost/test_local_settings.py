"""local.settings.json, in the shapes that func accepts and those that it does not (functions-host.md §1.5)."""

from __future__ import annotations

import json

import pytest

from devhost.errors import LocalSettingsError
from devhost.local_settings import read_local_settings


def write(folder, document):
    text = document if isinstance(document, str) else json.dumps(document)
    (folder / "local.settings.json").write_text(text)


def test_no_file_is_no_error(tmp_path):
    assert read_local_settings(tmp_path) is None


def test_values_and_connection_strings_become_settings(tmp_path):
    write(tmp_path, {
        "IsEncrypted": False,
        "Values": {"A": "1", "Nothing": None, "": "nameless", "Flag": True, "Number": 7},
        "ConnectionStrings": {"Db": "Server=x", "Other": {"ConnectionString": "y", "ProviderName": "p"}},
        "Host": {"LocalHttpPort": 7099},
    })  # fmt: skip
    local = read_local_settings(tmp_path)
    assert local.values == {
        "A": "1", "Flag": "true", "Number": "7", "ConnectionStrings:Db": "Server=x", "ConnectionStrings:Other": "y",
    }  # fmt: skip
    assert local.host == {"LocalHttpPort": 7099} and local.port == 7099


def test_a_byte_order_mark_does_not_matter(tmp_path):
    (tmp_path / "local.settings.json").write_bytes(b'\xef\xbb\xbf{"IsEncrypted": false}')
    assert read_local_settings(tmp_path).values == {}


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"Values": {"A": "1"}}, "IsEncrypted"),
        ({"IsEncrypted": True}, "IsEncrypted"),
        ("{", "cannot be read"),
        ("[]", "JSON object"),
        ({"IsEncrypted": False, "Values": ["A"]}, "Values"),
        ({"IsEncrypted": False, "Values": []}, "Values"),
        ({"IsEncrypted": False, "Host": 5}, "'Host'.* must be an object"),
        ({"IsEncrypted": False, "Host": {"LocalHttpPort": "abc"}}, "LocalHttpPort"),
        ({"IsEncrypted": False, "Values": {"A": {"B": 1}}}, "'A'"),
    ],
)
def test_what_cannot_be_used_is_said(document, words, tmp_path):
    write(tmp_path, document)
    with pytest.raises(LocalSettingsError, match=words):
        read_local_settings(tmp_path)
