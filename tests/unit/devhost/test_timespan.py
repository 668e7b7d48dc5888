"""The .NET way of writing time spans."""

from __future__ import annotations

from datetime import timedelta

import pytest

from devhost.timespan import format_timespan, parse_timespan


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("00:00:05", timedelta(seconds=5)),
        ("01:30", timedelta(hours=1, minutes=30)),
        ("2.03:00:00", timedelta(days=2, hours=3)),
        ("00:00:00.1000000", timedelta(milliseconds=100)),
        ("-00:01:00", timedelta(minutes=-1)),
    ],
)
def test_parse(text, span):
    assert parse_timespan(text) == span


@pytest.mark.parametrize("text", ["", "5", "24:00:00", "00:60:00", "00:00:61", "1h", "00:00:05:00"])
def test_what_is_no_time_span(text):
    with pytest.raises(ValueError, match="time span"):
        parse_timespan(text)


@pytest.mark.parametrize(
    ("span", "text"),
    [
        (timedelta(minutes=30), "00:30:00"),
        (timedelta(days=1, seconds=1), "1.00:00:01"),
        (timedelta(milliseconds=1500), "00:00:01.5000000"),
        (timedelta(seconds=-5), "-00:00:05"),
    ],
)
def test_format(span, text):
    assert format_timespan(span) == text
    assert parse_timespan(text) == span
