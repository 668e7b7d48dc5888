"""What devhost puts in place of the SDK's parser says exactly what that said."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime

import pytest
from azure.durable_functions.models.history.HistoryEvent import HistoryEvent
from dateutil.parser import parse

from devhost.durable.events import timestamp
from devhost.durable.sdk_replay import quicken_replay


@pytest.mark.parametrize(
    "text",
    [
        timestamp(datetime(2026, 11, 22, 3, 4, 5, 678901, UTC)),
        "2026-01-01T00:00:00.0000000Z",
        "2026-01-01T00:00:00.1234567Z",
        "2026-12-31T23:59:59Z",
        "2026-01-01T00:00:00.5",
        "2026-01-01T00:00:00+02:00",
    ],
)
def test_timestamps_are_read_as_the_sdk_reads_them(text: str) -> None:
    quicken_replay()
    ours, theirs = HistoryEvent(12, -1, False, text).timestamp, parse(text)
    assert (ours, repr(ours.tzinfo)) == (theirs, repr(theirs.tzinfo))


def test_they_are_also_after_the_time_zone_has_changed(monkeypatch) -> None:
    quicken_replay()
    for names in (("CET", "CEST"), ("UTC", "UTC"), ("CET", "CEST")):
        monkeypatch.setattr(time, "tzname", names)
        text = "2026-01-01T00:00:00.1234567Z"
        assert repr(HistoryEvent(12, -1, False, text).timestamp.tzinfo) == repr(parse(text).tzinfo)


def test_the_parser_is_replaced_once() -> None:
    module = sys.modules[HistoryEvent.__module__]
    quicken_replay()
    replaced = module.dt_parse
    assert replaced is not parse
    quicken_replay()
    assert module.dt_parse is replaced
