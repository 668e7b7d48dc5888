"""Rows of the ledger: what makes one unreadable, and what it is then called."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from jobs.errors import DamagedRowError
from jobs.ledger_rows import COLUMNS, entry_of

ROW = {
    "PartitionKey": "order",
    "RowKey": "A-1",
    "state": "Failed",
    "digest": "d",
    "correlationId": "c",
    "submittedAt": "2026-03-01T12:00:00.000000Z",
    "completedAt": "2026-03-01T12:01:00.000000Z",
    "error": '{"type": "OutOfStock", "message": "gone", "retryable": false, "openCompensations": ["charge"]}',
    "deliveries": '{"event": {"state": "Pending", "attempts": 0, "chain": null}}',
}


def test_what_the_app_writes_is_read():
    entry = entry_of(ROW, "tag")
    assert (entry.state, entry.job.run, entry.attempt, entry.result) == ("Failed", 1, 1, None)
    assert entry.error == {"type": "OutOfStock", "message": "gone", "retryable": False, "openCompensations": ["charge"]}
    assert entry.deliveries == {"event": {"state": "Pending", "attempts": 0, "chain": None}}


def test_columns_that_were_asked_for_and_are_not_there_are_null():
    assert entry_of(dict.fromkeys(COLUMNS) | ROW, "tag") == entry_of(ROW, "tag")
    assert not entry_of(dict.fromkeys(COLUMNS) | ROW, "tag").job.calls_back


@pytest.mark.parametrize(
    "damage",
    [
        *({column: None} for column in ("state", "digest", "correlationId", "submittedAt")),
        *({"submittedAt": value} for value in ("yesterday", "2026-03-01T11:59:00", 5, datetime.now(UTC))),
        *({"startedAt": "{}"}, {"completedAt": ""}, {"overdueAt": "never"}, {"notBefore": "soon"}),
        *({"heldUntil": value} for value in ("9999-12-31T23:59:59Z", "0001-01-01T00:00:00+09:00", "2026-02-30")),
        *({"state": "Asleep"}, {"attempt": "one"}, {"run": 0}, {"owed": "yes"}, {"buried": 1}),
        *({"result": value} for value in ("{", 7, "[" * 30_000)),
        *({"error": value} for value in ("[]", "7", '{"message": 1}', '{"openCompensations": "all"}')),
        *({"deliveries": value} for value in ("[]", '{"event": 1}', '{"event": {"state": "Pending"}}')),
    ],
    ids=lambda damage: str(damage)[:40],
)
def test_a_damaged_row_is_named_with_its_column_and_not_with_what_it_holds(damage):
    with pytest.raises(DamagedRowError) as raised:
        entry_of(ROW | damage, "tag")
    (column, value), said = next(iter(damage.items())), str(raised.value)
    assert raised.value.job == "order/A-1"
    assert f"order job 'A-1' in the table `jobs` cannot be read: {column}. " in said
    assert not isinstance(value, str) or value == "" or value not in said
