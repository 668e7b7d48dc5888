"""An outage is said once, and its end once."""

from __future__ import annotations

import logging

from devhost.outages import Outages


def test_once_each(caplog):
    outages = Outages()
    with caplog.at_level(logging.INFO):
        outages.recovered("queues at :10001")
        for _ in range(3):
            outages.report("queues at :10001", "refused")
        outages.report("blobs at :10000", "refused")
        assert outages.is_away("queues at :10001")
        for _ in range(2):
            outages.recovered("queues at :10001")
    lines = [record.getMessage() for record in caplog.records]
    assert [line for line in lines if ":10001" in line] == [
        "queues at :10001 is unreachable (refused). Listeners keep trying and go on by themselves.",
        "queues at :10001 answers again.",
    ]
    assert len(lines) == 3 and not outages.is_away("queues at :10001") and outages.is_away("blobs at :10000")
