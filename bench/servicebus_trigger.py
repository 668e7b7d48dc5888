"""The Service Bus trigger beside a bare SDK loop on the same bus."""

from __future__ import annotations

QUEUE = "bench-trigger"


async def measure_all(connection_string, messages, rounds, console):
    """Nothing yet."""
    return {}
