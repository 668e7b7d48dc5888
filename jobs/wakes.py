"""Wakes: events that call an instance to look into a table row, where what has happened lies already."""

from __future__ import annotations

from azure.durable_functions import DurableOrchestrationClient

from jobs import telemetry


async def wake(instance_id: str, event: str, durable: DurableOrchestrationClient) -> None:
    """Call the instance that waits for this event to look. Never raises: a lost one costs time, nothing else."""
    try:
        await durable.raise_event(instance_id, event)
    except Exception as error:
        # Any trouble the SDK tells by a bare Exception, also that the instance has ended.
        telemetry.wake_lost(instance_id, error)
