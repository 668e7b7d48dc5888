"""The Durable instances of jobs: one for each run of a job whose kind has an orchestrator, whoever starts it."""

from __future__ import annotations

from dataclasses import asdict

from azure.durable_functions import DurableOrchestrationClient

from jobs.entry import JobRef
from jobs.errors import TransientError
from jobs.job import Job


async def exists(job: JobRef, durable: DurableOrchestrationClient) -> bool:
    """Whether the job's instance has been started."""
    return bool(await durable.get_status(job.instance_id))


async def start(job: Job, ref: JobRef, durable: DurableOrchestrationClient) -> None:
    """Start the instance, unless it is there already. What of its input must not travel must be in its claim.

    Raises TransientError.
    """
    arguments = {
        # Without what it has not: during an update, hosts with an older version of the app do its steps, too.
        "job": {name: value for name, value in asdict(ref).items() if value not in (None, False)},
        "input": job.travelling_input,
        "deadlineSeconds": job.kind.deadline.total_seconds(),
    }
    try:
        await durable.start_new(job.kind.orchestrator, ref.instance_id, arguments)
    except Exception as error:
        # Of several submissions at once one starts the instance; the SDK tells the others by a bare Exception.
        if not await exists(ref, durable):
            raise TransientError("the orchestration could not be started: see the host's log") from error
