"""The HTTP doors of the sandbox: its services, and the API that orders faults and reads what happened."""

from __future__ import annotations

from collections.abc import AsyncIterator

from aiohttp import web

from sandbox.carrier_doors import carrier_doors
from sandbox.http_answers import change, errors_as_json, order, read
from sandbox.models import FaultOrder
from sandbox.payment_doors import payment_doors
from sandbox.world import World


def create_app(world: World) -> web.Application:
    """The whole HTTP surface over one world."""
    app = web.Application(middlewares=[errors_as_json])
    app.add_routes([*payment_doors(world), *carrier_doors(world)])
    app.add_routes(
        [
            web.get("/mailbox", read(lambda query: world.mailbox.as_json(query.get("to")))),
            web.delete("/mailbox", change(world.clear_mailbox)),
            web.post("/faults", order(FaultOrder, lambda fault: {"id": world.faults.add(fault)})),
            web.get("/faults", read(lambda _query: world.faults.as_json())),
            web.delete("/faults", change(world.clear_faults)),
            web.delete("/state", change(world.clear)),
            web.get("/health", read(lambda _query: {"status": "ok"})),
        ]
    )

    async def end_journeys(_app: web.Application) -> AsyncIterator[None]:
        yield
        world.clear_journeys()

    app.cleanup_ctx.append(end_journeys)
    return app
