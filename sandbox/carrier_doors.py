"""The parcel carrier's HTTP API, and the doors at which tests and demos move its parcels."""

from __future__ import annotations

from aiohttp import web

from sandbox import travel
from sandbox.faulty_door import Service, with_key
from sandbox.http_answers import Handler, body, order, read
from sandbox.idempotency import Answer
from sandbox.models import Booking, Journey, Movement, Tracking, WebhookTarget
from sandbox.world import World


def carrier_doors(world: World) -> list[web.RouteDef]:
    """The doors over one world."""
    carrier = Service(
        "carrier",
        lambda: world.faults,
        lambda: world.carrier_requests,
        lambda body: world.carrier.subject(body),
        (422, "parcel_refused", "The carrier does not take this parcel."),
    )

    def book(key: str, booking: Booking) -> Answer:
        answer = world.carrier.book(key, booking)
        travel.set_out(world, answer.body["id"])
        return answer

    return [
        web.post("/carrier/parcels", carrier.door("book", body(Booking), with_key(book))),
        web.get("/carrier/parcels", read(lambda query: world.carrier.as_json(query.get("reference")))),
        web.get(
            "/carrier/parcels/{id}", carrier.door("track", _tracking, lambda _key, body: world.carrier.track(body))
        ),
        web.post("/carrier/parcels/{id}/events", _move(world)),
        web.put("/carrier/webhook", order(WebhookTarget, lambda target: _tell_at(world, target))),
        web.put("/carrier/journey", order(Journey, lambda journey: _let_travel(world, journey))),
        web.get("/carrier/requests", read(lambda query: world.carrier_requests_json(query.get("reference")))),
    ]


def _tracking(request: web.Request, _content: bytes) -> Tracking:
    return Tracking(parcel=request.match_info["id"][:200])


def _move(world: World) -> Handler:
    parse = body(Movement)

    async def handle(request: web.Request) -> web.Response:
        movement = parse(request, await request.read())
        return web.json_response(await travel.move(world, request.match_info["id"], movement.state))

    return handle


def _tell_at(world: World, target: WebhookTarget) -> None:
    world.carrier.webhook = target


def _let_travel(world: World, journey: Journey) -> None:
    world.carrier.journey = journey.seconds
