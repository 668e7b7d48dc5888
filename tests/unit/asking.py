"""Questions of jobs that run, and links to answer them by, for unit tests."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from activities import approvals as steps
from jobs import clock, ledger
from jobs.approval_links import Invitation
from jobs.call import Call
from tests.unit.activities.calls import call
from tests.unit.conftest import FakeDurable

QUESTION = {"question": "Sell it?", "details": {"price": 3}, "default": "reject"}
SETTINGS = {"APPROVERS": "a@nightshift.example,b@nightshift.example", "SIGNING_KEY": "a key that only tests know"}


class RunningJobs(FakeDurable):
    """A durable client to which every job runs that it was not told of."""

    async def get_status(self, instance_id: str, **options: Any) -> Any:
        self.statuses.setdefault(instance_id, {"runtimeStatus": "Running"})
        return await super().get_status(instance_id, **options)


async def running(**question: Any) -> Call:
    """A call of an order that has begun, and is to open a question."""
    made = call("open_approval", QUESTION | question)
    submitted, _ = await ledger.submit(made.job, "digest")
    await ledger.begin(submitted.job, runner="one")
    return made


async def opened(**question: Any) -> Call:
    """The same, when it has opened it."""
    made = await running(**question)
    await steps.open_question(made)
    return made


def link(id: str, round: int = 0, lasts: float = 60.0) -> str:
    """The token of a link for a round of an approval, good for so many seconds."""
    url = Invitation(id, round, clock.now() + timedelta(seconds=lasts)).url()
    return url.rpartition("/")[2]
