"""The SMTP door of the mailbox: takes every message, unless a fault was ordered for its recipient."""

from __future__ import annotations

import asyncio

from aiosmtpd.smtp import SMTP, Envelope, Session

from sandbox.models import FaultOrder
from sandbox.world import World

# Enhanced status codes: RFC 3463. 4xx asks the sender to come again, 5xx to give up.
REFUSALS = {
    "error": "451 4.3.0 Local error, try again later (a sandbox fault)",
    "throttle": "450 4.2.1 Mailbox receives mail too fast, try again later (a sandbox fault)",
    "decline": "550 5.1.1 No such mailbox (a sandbox fault)",
}


class MailHandler:
    """What aiosmtpd calls when a whole message has arrived."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def handle_DATA(self, server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 aiosmtpd's name
        fault = self._fault(envelope.rcpt_tos)
        kind = fault.fault if fault else None
        if kind in REFUSALS:
            return REFUSALS[kind]
        if kind != "drop_before":
            self._world.mailbox.deliver(envelope.mail_from or "", envelope.rcpt_tos, envelope.original_content or b"")
        if kind in ("drop_before", "drop_after"):
            server.transport.abort()
            # Losing the connection cancels this coroutine, so that no answer is ever written.
            await asyncio.Event().wait()
        if fault and kind == "slow":
            await asyncio.sleep(fault.delay)
        return "250 2.0.0 Delivered"

    def _fault(self, recipients: list[str]) -> FaultOrder | None:
        found = (self._world.faults.take(operation="mail", recipient=recipient) for recipient in recipients)
        return next(filter(None, found), None)


async def start_smtp(world: World, host: str, port: int) -> asyncio.Server:
    """Listen for mail; port 0 takes a free one. Raises OSError when the port is taken."""
    handler = MailHandler(world)
    loop = asyncio.get_running_loop()
    return await loop.create_server(
        # A fixed name, because aiosmtpd would look ours up in DNS for every connection.
        lambda: SMTP(handler, enable_SMTPUTF8=True, hostname="sandbox.localhost", loop=loop),
        host,
        port,
    )
