"""The rounds of a question: who is asked, and for how long, until the next one is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from jobs.entry import written


@dataclass(frozen=True)
class Round:
    """One approver's time to answer. Times are ISO 8601 in UTC."""

    approver: str
    remind_at: str | None
    ends_at: str

    def to_dict(self) -> dict[str, Any]:
        """As the row has it."""
        return {"approver": self.approver, "remindAt": self.remind_at, "endsAt": self.ends_at}


def planned(approvers: tuple[str, ...], reminder: float, escalation: float) -> Callable[[datetime], list[Round]]:
    """The rounds, one approver after the other. `reminder`, `escalation`: seconds from a round's start."""

    def plan(start: datetime) -> list[Round]:
        length = timedelta(seconds=escalation)
        rounds = []
        for number, approver in enumerate(approvers):
            begin = start + number * length
            remind_at = written(begin + timedelta(seconds=reminder)) if reminder < escalation else None
            rounds.append(Round(approver, remind_at, written(begin + length)))
        return rounds

    return plan
