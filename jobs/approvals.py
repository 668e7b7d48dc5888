"""Approvals: one table row a question, which says who is asked now, and what was decided, by whom, when and why.

The row alone decides. Every change is guarded by its ETag, so of two votes one counts. The event that follows a vote
only calls the sub-orchestration that waits (`orchestrators.decision`) to look; one that is lost costs time, no vote.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from azure.core.exceptions import ResourceExistsError, ResourceModifiedError, ResourceNotFoundError
from azure.data.tables import UpdateMode
from azure.data.tables.aio import TableClient
from pydantic.alias_generators import to_camel

from jobs import clock
from jobs.approval_rounds import Round
from jobs.catalog import KINDS
from jobs.clients import clients
from jobs.entry import JobRef
from jobs.errors import ApprovalNotFoundError
from jobs.etags import if_match
from jobs.ledger import written

OPEN, APPROVED, REJECTED, WITHDRAWN = "Open", "Approved", "Rejected", "Withdrawn"
STATES = (OPEN, APPROVED, REJECTED, WITHDRAWN)
VOTES = {"approve": APPROVED, "reject": REJECTED}
LINK, API, DEFAULT = "link", "api", "default"
"""Ways by which a decision came."""

Changes = dict[str, Any]
"""By the names of an Approval's fields."""


@dataclass(frozen=True)
class Approval:
    """A row of the table. Times are ISO 8601 in UTC."""

    id: str
    """The instance id of the job that asks."""
    kind: str
    job_id: str
    run: int
    submitted_at: str | None
    """When the job came; None: an older version of the app has asked."""
    tag: str
    """The row's ETag."""
    state: str
    question: str
    details: dict[str, Any]
    rounds: tuple[Round, ...]
    round: int
    """The index of the one that runs."""
    wake: str
    """The event that the sub-orchestration waits for."""
    default: str
    """What counts when nobody answers: `approve` or `reject`."""
    opened_at: str
    expires_at: str
    decided_by: str | None = None
    decided_at: str | None = None
    via: str | None = None
    reason: str | None = None

    @property
    def instance_id(self) -> str:
        """The sub-orchestration that waits."""
        return f"{self.id}~decision"

    @property
    def approver(self) -> str | None:
        """Who is asked at present; None where nobody ever was."""
        return self.rounds[self.round].approver if self.rounds else None

    @property
    def is_open(self) -> bool:
        return self.state == OPEN

    @property
    def decision(self) -> dict[str, Any]:
        """What the job that asked is told."""
        return {
            "decision": self.state.lower(),
            "by": self.decided_by,
            "at": self.decided_at,
            "via": self.via,
            "reason": self.reason,
        }

    def in_words(self) -> str:
        """How a question that is not open any more was closed."""
        moment = f"{datetime.fromisoformat(self.decided_at):%Y-%m-%d %H:%M} UTC" if self.decided_at else ""
        if self.via == DEFAULT:
            return f"{self.state.lower()} on {moment}, because nobody had answered"
        by = f" by {self.decided_by}" if self.decided_by else ""
        return f"{self.state.lower()} on {moment}{by}"

    def to_dict(self) -> dict[str, Any]:
        """As the API shows it."""
        return {
            "id": self.id,
            "job": {"kind": self.kind, "id": self.job_id},
            "state": self.state,
            "question": self.question,
            "details": self.details,
            "approver": self.approver,
            "round": self.round,
            "default": self.default,
            "openedAt": self.opened_at,
            "expiresAt": self.expires_at,
            "decidedBy": self.decided_by,
            "decidedAt": self.decided_at,
            "via": self.via,
            "reason": self.reason,
        }


async def open_for(
    job: JobRef, question: str, details: Mapping[str, Any], default: str, plan: Callable[[datetime], list[Round]]
) -> Approval:
    """Enter a question unless it is entered, and return it as it is by now. `plan`: the rounds, from a moment on.

    What another job of the same id was answered, whose row in the ledger is gone by its age, is no answer to this one.
    """
    now = clock.now()
    rounds = plan(now)
    row = {
        "PartitionKey": job.kind,
        "RowKey": job.instance_id,
        "jobId": job.id,
        "run": job.run,
        # Tells this job from another of the same id.
        "submittedAt": job.submitted_at,
        "state": OPEN,
        # One line, as it becomes the subject of a mail.
        "question": " ".join(question.split()),
        # Unescaped, since a column takes 32,768 characters.
        "details": json.dumps(dict(details), ensure_ascii=False),
        "rounds": json.dumps([each.to_dict() for each in rounds]),
        "round": 0,
        "wake": "decided.0",
        "default": default,
        "openedAt": written(now),
        "expiresAt": rounds[-1].ends_at if rounds else written(now),
    }
    while True:
        with suppress(ResourceExistsError):
            return _approval_of(row, (await _table().create_entity(row))["etag"])
        with suppress(ApprovalNotFoundError, ResourceModifiedError, ResourceNotFoundError):
            found = await get(job.instance_id)
            if found.submitted_at in (None, job.submitted_at):
                return found
            await _table().delete_entity(found.kind, found.id, **if_match(found.tag))


async def get(id: str) -> Approval:
    """Raises ApprovalNotFoundError."""
    kind = _kind_of(id)
    try:
        if kind:
            row = await _table().get_entity(kind, id)
            return _approval_of(row, row.metadata["etag"])
    except ResourceNotFoundError:
        pass
    raise ApprovalNotFoundError(f"there is no approval {id!r}: it may be past its age")


async def find(state: str | None, top: int) -> tuple[list[Approval], list[str]]:
    """Up to `top` of them, those first whose time is over first; and the ids of those whose rows cannot be read."""
    query, parameters = ("state eq @state", {"state": state}) if state else ("", None)
    pages = _table().query_entities(query, parameters=parameters, results_per_page=top).by_page()
    found: list[Approval] = []
    damaged: list[str] = []
    async for page in pages:
        for row in [row async for row in page]:
            try:
                found.append(_approval_of(row, row.metadata["etag"]))
            except (KeyError, TypeError, ValueError, AttributeError):
                damaged.append(row["RowKey"])
        if len(found) >= top:
            break
    return sorted(found[:top], key=lambda approval: (approval.expires_at, approval.id)), damaged


async def change(found: Approval, changes_of: Callable[[Approval], Changes | None]) -> Approval:
    """Change a row that was read, as long as it takes, and return it as it is then.

    `changes_of` says what to change in the row as it was read last; None: nothing. It may raise.
    Raises ApprovalNotFoundError.
    """
    while True:
        changes = changes_of(found)
        if changes is None:
            return found
        columns = {to_camel(name): value for name, value in changes.items()}
        row = {"PartitionKey": found.kind, "RowKey": found.id, **columns}
        try:
            merged = await _table().update_entity(row, mode=UpdateMode.MERGE, **if_match(found.tag))
        except ResourceModifiedError:
            # The answer to our own change may have been lost, and the SDK has sent it once more.
            found = await get(found.id)
            if all(getattr(found, name) == value for name, value in changes.items()):
                return found
        else:
            return replace(found, tag=merged["etag"], **changes)


def decided(vote: str, *, by: str | None, at: str, via: str, reason: str | None = None) -> Changes:
    """The changes that decide a question. `vote`: approve or reject; `at`: as the ledger writes moments."""
    changes = {"state": VOTES[vote], "decided_by": by, "decided_at": at, "via": via, "reason": reason}
    return {name: value for name, value in changes.items() if value is not None}


async def decide_by_default(id: str) -> Approval:
    """Decide a question that nobody has answered. Whether it was that, the row returned says."""
    moment = written(clock.now())
    return await change(
        await get(id), lambda found: decided(found.default, by=None, at=moment, via=DEFAULT) if found.is_open else None
    )


async def withdraw(id: str) -> Approval | None:
    """Close a question that nobody has decided, because its job needs no answer.

    Returns it as it is then, closed in this way or another; None when there is none.
    """
    moment = written(clock.now())
    changes = {"state": WITHDRAWN, "decided_at": moment}
    with suppress(ApprovalNotFoundError):
        return await change(await get(id), lambda found: changes if found.is_open else None)
    return None


async def bar(job: JobRef) -> None:
    """Withdraw the job's question, also one that was never asked: then a straggler finds that it may not be."""
    await open_for(job, "", {}, "reject", lambda _: [])
    await withdraw(job.instance_id)


def _kind_of(id: str) -> str | None:
    """The kind of job that the instance id belongs to: the longest, as `jobs.job` sees to it."""
    return max((kind for kind in KINDS if id.startswith(f"{kind}-")), key=len, default=None)


def _approval_of(row: Mapping[str, Any], tag: str) -> Approval:
    rounds = [Round(each["approver"], each["remindAt"], each["endsAt"]) for each in json.loads(row["rounds"])]
    datetime.fromisoformat(row["expiresAt"])
    return Approval(
        id=row["RowKey"],
        kind=row["PartitionKey"],
        job_id=row["jobId"],
        run=row["run"],
        submitted_at=row.get("submittedAt"),
        tag=tag,
        state=row["state"],
        question=row["question"],
        details=json.loads(row["details"]),
        rounds=tuple(rounds),
        round=row["round"],
        wake=row["wake"],
        default=row["default"],
        opened_at=row["openedAt"],
        expires_at=row["expiresAt"],
        decided_by=row.get("decidedBy"),
        decided_at=row.get("decidedAt"),
        via=row.get("via"),
        reason=row.get("reason"),
    )


def _table() -> TableClient:
    return clients().table("approvals")
