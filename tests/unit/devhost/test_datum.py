"""How the host's values travel to a function, and what JSON bodies add (functions-host.md §2.1)."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from devhost.datum import promote, to_datum, to_metadata


@pytest.mark.parametrize(
    ("value", "kind", "sent"),
    [
        (None, None, None),
        ("text", "string", "text"),
        (b"bytes", "bytes", b"bytes"),
        (1.5, "double", 1.5),
        (7, "json", "7"),
        (True, "json", "true"),
        ({"a": 1}, "json", '{"a":1}'),
        (datetime(2026, 11, 22, tzinfo=UTC), "json", '"2026-11-22T00:00:00+00:00"'),
    ],
)
def test_each_kind_of_value(value, kind, sent):
    datum = to_datum(value)
    assert (datum.type, datum.value) == (kind, sent)


def test_metadata_leaves_out_none_and_what_is_the_hosts_own():
    assert set(to_metadata({"Id": "1", "Gone": None, "sys": {}, "$request": object()})) == {"Id"}


def test_a_json_bodys_properties_replace_builtin_names_whatever_their_case():
    data = promote(
        {"Id": "builtin", "DequeueCount": 1}, '{"id": "7", "dequeuecount": 99, "list": [1], "deep": {"a": 1}}'
    )
    assert data == {"Id": "7", "DequeueCount": "99", "deep": {"a": 1}}


@pytest.mark.parametrize("text", ["", "plain", "[1]", '"x"', "{broken", '{"a":' * 100_000])
def test_other_bodies_add_nothing(text):
    assert promote({"Id": "1"}, text) == {"Id": "1"}


def test_booleans_are_written_as_dotnet_does():
    assert promote({}, '{"a": true, "b": 1.5, "c": null}') == {"a": "True", "b": "1.5", "c": None}
