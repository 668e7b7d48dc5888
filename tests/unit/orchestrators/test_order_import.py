"""An import that has to wait: for another import of its file, and for storage."""

from __future__ import annotations

from datetime import timedelta

import pytest

from activities.imports import LONGER, LONGEST_WAIT
from jobs.catalog import KINDS
from jobs.import_identity import ImportUnderWayError
from jobs.saga import ACTION
from orchestrators.order_import import IN_TURN, take_file
from tests.unit.orchestrators.engine import Engine

DEADLINE = KINDS["order-import"].deadline
JOB = {"kind": "order-import", "id": "i-1", "correlation_id": "correlation-1", "submitted_at": "2026-01-01T00:00:00Z"}


async def imported(**outcomes) -> Engine:
    """An import whose activities return these outcomes, by the number of the try."""

    async def perform(name: str, arguments: dict) -> dict:
        return outcomes[name](arguments["attempt"])

    activities = {name: lambda arguments, name=name: perform(name, arguments) for name in (*outcomes, "end_job")}
    outcomes["end_job"] = lambda attempt: {"ok": None}
    input = {"job": JOB, "input": {"name": "a", "etag": '"1"'}, "deadlineSeconds": DEADLINE.total_seconds()}
    engine = Engine(take_file, input, activities)
    return await engine.run("order-import-i-1")


def under_way(attempt: int) -> dict:
    error = ImportUnderWayError("i-0 has not ended", retry_after=min(LONGER**attempt, LONGEST_WAIT))
    return {"error": error.to_dict() | {"retryAfter": error.retry_after}}


def test_another_import_of_its_file_may_take_as_long_as_the_deadline_lets_it():
    """So nobody must replay the import of a corrected file only because the first file is a large one."""
    waits = [under_way(attempt)["error"]["retryAfter"] for attempt in range(1, IN_TURN.attempts)]
    # Of one that waits in vain the reason names the other import, and not a deadline.
    assert DEADLINE * 0.95 < timedelta(seconds=sum(waits)) < DEADLINE
    # Each is some eight events of its history.
    assert max(waits) <= 600 and len(waits) < 60


@pytest.mark.anyio
async def test_it_waits_its_turn_and_its_report_outlasts_storage_that_is_away():
    away = {"error": {"type": "StorageUnavailable", "message": "", "retryable": True, "retryAfter": None}}
    counts, last = {"rows": 0, "accepted": 0}, ACTION.attempts + 1
    engine = await imported(
        scan_import=lambda attempt: {"ok": {"rows": 1, "chunks": 0}} if attempt == last else under_way(attempt),
        report_import=lambda attempt: {"ok": counts} if attempt == last else away,
    )
    (_, ended) = engine.calls[-1]
    assert (ended["input"]["state"], ended["input"]["result"]) == ("Completed", counts)
    assert engine.pauses[:5] == pytest.approx([4, 16, 64, 256, 600])
