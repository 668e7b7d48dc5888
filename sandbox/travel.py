"""Parcels on the move: each movement is told to the carrier's webhook, signed, and a parcel can travel by itself."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

import aiohttp
from standardwebhooks import Webhook

from sandbox.carrier import Parcel
from sandbox.idempotency import RefusedError
from sandbox.models import ParcelState
from sandbox.world import World

PATIENCE = aiohttp.ClientTimeout(total=10.0)


async def move(world: World, id: str, state: ParcelState) -> dict[str, Any]:
    """Bring a parcel to a state, and tell the webhook. Raises RefusedError (404, 409).

    Returns the parcel, with what each telling was answered as `webhook`: HTTP statuses, None for no answer.
    """
    has_moved = world.carrier.move(id, state)
    parcel = world.carrier.parcel(id)
    return {**parcel.as_json(), "webhook": await _tell(world, parcel) if has_moved else []}


def set_out(world: World, id: str) -> None:
    """Let a parcel travel by itself, if new parcels do and it does not yet."""
    if world.carrier.journey is not None and id not in world.journeys:
        world.journeys[id] = asyncio.get_running_loop().create_task(_travel(world, id, world.carrier.journey))


async def _travel(world: World, id: str, pause: float) -> None:
    while state := world.carrier.next_state(id):
        await asyncio.sleep(pause)
        try:
            await move(world, id, state)
        except RefusedError:
            # Somebody else has moved it, to an end.
            return


async def _tell(world: World, parcel: Parcel) -> list[int | None]:
    target = world.carrier.webhook
    if target is None:
        return []
    event = parcel.events[-1]
    fault = world.faults.take(operation="webhook", reference=parcel.reference)
    times = {None: 1, "duplicate": 2, "slow": 1}.get(fault.fault if fault else None, 0)
    if fault and fault.fault == "slow":
        await asyncio.sleep(fault.delay)
    data = {"id": parcel.id, "reference": parcel.reference, **event.as_json()}
    body = json.dumps({"type": "parcel.moved", "timestamp": event.at.isoformat(), "data": data})
    name, now = f"msg_{parcel.id}_{event.sequence}", datetime.now(UTC)
    headers = {
        "Content-Type": "application/json",
        "webhook-id": name,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(target.secret).sign(name, now, body),
    }
    return [await _post(target.url, body, headers) for _ in range(times)]


async def _post(url: str, body: str, headers: dict[str, str]) -> int | None:
    try:
        async with (
            aiohttp.ClientSession(timeout=PATIENCE) as session,
            session.post(url, data=body, headers=headers, allow_redirects=False) as response,
        ):
            return response.status
    except (aiohttp.ClientError, TimeoutError):
        return None
