"""The payment gateway's HTTP API."""

from __future__ import annotations

from aiohttp import web

from sandbox.faulty_door import Service, with_key
from sandbox.http_answers import body, read
from sandbox.models import Authorization, Charge, Refund, Void
from sandbox.world import World


def payment_doors(world: World) -> list[web.RouteDef]:
    """The doors over one world."""
    gateway = Service(
        "payment gateway",
        lambda: world.faults,
        lambda: world.requests,
        lambda body: world.payments.subject(body),
        (402, "card_declined", "The card was declined."),
    )
    authorize = with_key(lambda key, body: world.payments.authorize(key, body))
    void = with_key(lambda key, body: world.payments.void(key, body))
    charge = with_key(lambda key, body: world.payments.charge(key, body))
    refund = with_key(lambda key, body: world.payments.refund(key, body))
    return [
        web.post("/payments/authorizations", gateway.door("authorize", body(Authorization), authorize)),
        web.post("/payments/authorizations/{id}/void", gateway.door("void", _void, void)),
        web.post("/payments/charges", gateway.door("charge", body(Charge), charge)),
        web.post("/payments/refunds", gateway.door("refund", body(Refund), refund)),
        web.get("/payments/ledger", read(lambda query: world.payments.ledger(query.get("reference")))),
        web.get("/payments/requests", read(lambda query: world.requests_json(query.get("reference")))),
    ]


def _void(request: web.Request, _content: bytes) -> Void:
    return Void(authorization=request.match_info["id"][:200])
