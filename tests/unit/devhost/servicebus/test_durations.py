"""ISO 8601 durations and milliseconds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devhost.servicebus.durations import NEVER, DurationError, format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("PT1S", 1_000),
        ("PT1M", 60_000),
        ("PT0.5S", 500),
        ("PT1H30M", 5_400_000),
        ("P14D", 1_209_600_000),
        ("P1W", 604_800_000),
        ("PT0S", 0),
        (NEVER, None),
        ("P10675199DT2H48M5.477581S", None),  # as Python's client rounds it
    ],
)
def test_a_duration_is_read(text, milliseconds):
    assert parse_duration(text) == milliseconds


@pytest.mark.parametrize("text", ["", "60", "P", "00:01:00", "PT5", "-PT5S", "P1M", "P1Y", "one minute"])
def test_what_is_no_usable_duration_is_refused_with_an_example(text):
    with pytest.raises(DurationError, match=f"{text!r}"):
        parse_duration(text)


def test_zero_and_never_are_written_as_the_service_does():
    assert format_duration(0) == "PT0S"
    assert format_duration(None) == NEVER
    assert format_duration(90_500) == "PT1M30.5S"


@given(st.integers(0, 10**14))
def test_what_is_written_is_read_back(milliseconds):
    assert parse_duration(format_duration(milliseconds)) == milliseconds
