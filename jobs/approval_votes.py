"""Votes: what people and programs say about an approval, whether it counts, and the call to look that follows."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from azure.durable_functions import DurableOrchestrationClient
from pydantic import Field, StringConstraints

from jobs import approval_links, approvals, clock, ledger
from jobs.approvals import Approval
from jobs.cancellation import ENDED
from jobs.errors import ApprovalDecidedError, ApprovalOverError
from jobs.inputs import Input, Text
from jobs.wakes import wake

LONGEST_REASON = 500
Reason = Annotated[str, StringConstraints(max_length=LONGEST_REASON, pattern=r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*$")]


class Vote(Input):
    """What the page and the API take: the decision, and why."""

    decision: Literal["approve", "reject"]
    reason: Annotated[Reason | None, Field()] = None


class VoteByName(Vote):
    """What the API takes: also who decides, since a key says nothing of it."""

    by: Text


async def look(token: str) -> Approval:
    """The approval that a link is about; it may be decided. Changes nothing.

    Raises LinkForgedError, ApprovalOverError, ApprovalNotFoundError, SettingMissingError.
    """
    invitation = approval_links.read(token)
    found = await approvals.get(invitation.approval)
    if found.state == approvals.WITHDRAWN:
        raise ApprovalOverError("the question was withdrawn: its job needs no answer any more")
    if found.round != invitation.round:
        raise ApprovalOverError("this link is no longer good: somebody else has been asked since")
    return found


async def vote_by_link(token: str, vote: Vote, durable: DurableOrchestrationClient) -> Approval:
    """Decide as the approver to whom the link was mailed. Returns the approval, decided.

    Raises what `look` raises, and ApprovalDecidedError.
    """
    found = await look(token)
    return await _count(found, vote, found.approver, approvals.LINK, durable)


async def vote_by_name(id: str, vote: VoteByName, durable: DurableOrchestrationClient) -> Approval:
    """Decide past the mails, for whoever has the key of the API. Returns the approval, decided.

    Raises ApprovalNotFoundError, ApprovalDecidedError, ApprovalOverError.
    """
    return await _count(await approvals.get(id), vote, vote.by, approvals.API, durable)


async def _count(
    found: Approval, vote: Vote, by: str | None, via: str, durable: DurableOrchestrationClient
) -> Approval:
    if found.state in approvals.VOTES.values() and await _is_wanted(found, durable):
        # Who decided it may have died before anybody was told, and votes again.
        await wake(found.instance_id, found.wake, durable)
    _check_open(found)
    if clock.now() >= datetime.fromisoformat(found.expires_at) or not await _is_wanted(found, durable):
        raise ApprovalOverError("the vote comes too late: the job goes on, or has ended, without it")
    moment = ledger.written(clock.now())
    round = found.round

    def changes(now: Approval) -> approvals.Changes:
        _check_open(now)
        if via == approvals.LINK and now.round != round:
            raise ApprovalOverError("this link is no longer good: somebody else has been asked since")
        return approvals.decided(vote.decision, by=by, at=moment, via=via, reason=vote.reason or None)

    decided = await approvals.change(found, changes)
    await wake(decided.instance_id, decided.wake, durable)
    return decided


def _check_open(found: Approval) -> None:
    if found.state == approvals.WITHDRAWN:
        raise ApprovalOverError("the question was withdrawn: its job needs no answer any more")
    if not found.is_open:
        raise ApprovalDecidedError(f"it is decided already, and stays so: {found.in_words()}")


async def _is_wanted(found: Approval, durable: DurableOrchestrationClient) -> bool:
    """Whether the job that asks still runs: an operator may have ended it, of which only Durable knows."""
    live = await durable.get_status(found.id)
    return bool(live) and live.runtime_status not in ENDED
