"""Values as .NET prints them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from devhost.bindings.dotnet import format_date, looks_like_json, text_of

MOMENT = datetime(2026, 3, 5, 14, 7, 9, 123456, tzinfo=UTC)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("", "2026-03-05T14-07-09Z"),
        ("yyyyMMdd", "20260305"),
        ("yy-M-d H:m:s", "26-3-5 14:7:9"),
        ("ddd, dd MMM yyyy", "Thu, 05 Mar 2026"),
        ("dddd d MMMM", "Thursday 5 March"),
        ("hh:mm tt", "02:07 PM"),
        ("HH:mm:ss.fff", "14:07:09.123"),
        ("ss.FFFFFFF", "09.123456"),
        ("'day' d", "day 5"),
        (r"\d d", "d 5"),
        ("zzz", "+00:00"),
        ("o", "2026-03-05T14:07:09.1234560Z"),
        ("s", "2026-03-05T14:07:09"),
        ("R", "Thu, 05 Mar 2026 14:07:09 GMT"),
    ],
)
def test_date_formats(pattern, expected):
    assert format_date(MOMENT, pattern) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, ""),
        (True, "True"),
        (7, "7"),
        (1.0, "1"),
        (1.5, "1.5"),
        ("a", "a"),
        ({"ä": [1]}, '{\n  "ä": [\n    1\n  ]\n}'),
        ({}, "{}"),
    ],
)
def test_text_of_json_values(value, expected):
    assert text_of(value) == expected


@pytest.mark.parametrize(
    ("text", "expected"), [(" {} ", True), ("[1]\n", True), ("{]", False), ("{", False), ("", False), ('"a"', False)]
)
def test_what_looks_like_json(text, expected):
    assert looks_like_json(text) is expected
