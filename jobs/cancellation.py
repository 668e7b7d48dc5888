"""Cancelling a job: a request, which the job grants between two steps by undoing what it did."""

from __future__ import annotations

from azure.durable_functions import DurableOrchestrationClient

from jobs import ledger
from jobs.catalog import kind_named
from jobs.errors import TooLateError
from jobs.saga import CANCEL


async def request(kind: str, id: str, durable: DurableOrchestrationClient) -> None:
    """Ask the job to stop. Whether it did in time, its status tells.

    Raises UnknownKindError, JobNotFoundError, and TooLateError when the job has ended or has passed its last step that
    can be undone.
    """
    orchestrator = kind_named(kind).orchestrator
    entry = await ledger.get(kind, id)
    if entry.is_final:
        raise TooLateError(f"the job has ended: it is {entry.state}")
    live = await durable.get_status(entry.job.instance_id) if orchestrator else None
    if live:
        shown = live.custom_status if isinstance(live.custom_status, dict) else {}
        if not shown.get("cancellable", True):
            raise TooLateError(f"it is too late to cancel: the job is at {shown['step']}")
        await durable.raise_event(entry.job.instance_id, CANCEL)
    elif entry.state != ledger.PENDING or not await ledger.withdraw(entry):
        raise TooLateError(f"the job has begun, and {kind} jobs cannot be stopped half-way")
