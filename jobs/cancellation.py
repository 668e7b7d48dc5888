"""Cancelling a job: a request, which the job grants between two steps by undoing what it did.

A job that waits for a person does not wait any longer: its question is withdrawn.
"""

from __future__ import annotations

from contextlib import suppress

from azure.durable_functions import DurableOrchestrationClient, OrchestrationRuntimeStatus
from azure.durable_functions.models.DurableOrchestrationStatus import DurableOrchestrationStatus

from jobs import approvals, channels, ending, ledger
from jobs.catalog import kind_named
from jobs.errors import TooLateError, TransientError
from jobs.saga import CANCEL

ENDED = (
    OrchestrationRuntimeStatus.Completed,
    OrchestrationRuntimeStatus.Failed,
    OrchestrationRuntimeStatus.Terminated,
    OrchestrationRuntimeStatus.Canceled,
)


async def request(kind: str, id: str, durable: DurableOrchestrationClient) -> None:
    """Ask the job to stop. Whether it did in time, its status tells.

    Raises UnknownKindError, JobNotFoundError, and TooLateError when the job has ended or has passed its last step that
    can be undone.
    """
    orchestrator = kind_named(kind).orchestrator
    while True:
        entry = await ledger.get(kind, id)
        if entry.is_final:
            raise TooLateError(f"the job has ended: it is {entry.state}")
        live = await durable.get_status(entry.job.instance_id) if orchestrator else None
        if live:
            await _ask(entry.job.instance_id, live, durable)
            return
        if entry.state != ledger.PENDING:
            raise TooLateError(f"the job has begun, and {kind} jobs cannot be stopped half-way")
        if withdrawn := await ledger.withdraw(entry, channels.asked_of_a_cancelled(entry.job)):
            await ending.conclude(withdrawn)
            return
        # It began or ended just now: it is to be asked, or told of.


async def _ask(instance_id: str, live: DurableOrchestrationStatus, durable: DurableOrchestrationClient) -> None:
    shown = live.custom_status if isinstance(live.custom_status, dict) else {}
    if not shown.get("cancellable", True):
        raise TooLateError(f"it is too late to cancel: the job is at {shown['step']}")
    await _tell(instance_id, CANCEL, durable)
    # Not sooner: once the job knows, it opens no question any more that would have to be withdrawn, too.
    if question := await approvals.withdraw(instance_id):
        # What waits for the answer may not have begun, or have seen it already.
        with suppress(TooLateError):
            await _tell(question.instance_id, question.wake, durable)


async def _tell(instance_id: str, event: str, durable: DurableOrchestrationClient) -> None:
    try:
        await durable.raise_event(instance_id, event)
    except Exception as error:
        # That the instance has ended meanwhile, as any other trouble, the SDK tells by a bare Exception.
        live = await durable.get_status(instance_id)
        if not live or live.runtime_status in ENDED:
            raise TooLateError("the job has ended") from error
        raise TransientError("the job could not be told: try again, and see the host's log") from error
