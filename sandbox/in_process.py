"""The sandbox inside a test's own process, on a thread of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from threading import Thread
from types import TracebackType
from typing import Any, TypeVar

from sandbox import travel
from sandbox.models import Booking, FaultOrder, Movement, WebhookTarget
from sandbox.service import Addresses, serve
from sandbox.world import World

Value = TypeVar("Value")


class Sandbox:
    """`with Sandbox() as sandbox:` opens both doors on free ports and closes them at the end.

    What is read comes back as the JSON object that the GET of the same name answers.
    """

    def __init__(self, port: int = 0, smtp_port: int = 0) -> None:
        self._world = World()
        self._ports = (port, smtp_port)
        self._opened: Future[Addresses] = Future()

    def __enter__(self) -> Sandbox:
        self._thread = Thread(target=lambda: asyncio.run(self._run()), name="sandbox", daemon=True)
        self._thread.start()
        self._addresses = self._opened.result()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._closing.set)
        self._thread.join()

    @property
    def url(self) -> str:
        """The payment gateway and the carrier, "http://127.0.0.1:7080"."""
        return self._addresses.url

    @property
    def smtp_host(self) -> str:
        return "127.0.0.1"

    @property
    def smtp_port(self) -> int:
        return self._addresses.smtp_port

    def ledger(self, reference: str | None = None) -> dict[str, Any]:
        """{"entries", "balance", "currency"}, of one reference or of all."""
        return self._call(lambda: self._world.payments.ledger(reference))

    def requests(self, reference: str | None = None) -> dict[str, Any]:
        """{"requests"}: every payment request seen, faulted ones too."""
        return self._call(lambda: self._world.requests_json(reference))

    def parcels(self, reference: str | None = None) -> dict[str, Any]:
        """{"parcels"}, of one reference or of all."""
        return self._call(lambda: self._world.carrier.as_json(reference))

    def carrier_requests(self, reference: str | None = None) -> dict[str, Any]:
        """{"requests"}: every request that the carrier has seen, faulted ones too."""
        return self._call(lambda: self._world.carrier_requests_json(reference))

    def book_parcel(self, reference: str) -> str:
        """Book a parcel past the app, and return its number."""
        return self._call(lambda: self._world.carrier.book(reference, Booking(reference=reference)).body["id"])

    def move_parcel(self, id: str, state: str) -> dict[str, Any]:
        """Bring a parcel to a state, tell the webhook, and return what POST …/events answers.

        Raises sandbox.idempotency.RefusedError, pydantic.ValidationError.
        """
        movement = Movement(state=state)
        return self._run_there(travel.move(self._world, id, movement.state))

    def tell_parcels_at(self, url: str, secret: str) -> None:
        """Have each movement of a parcel told there, as PUT /carrier/webhook takes it."""
        target = WebhookTarget(url=url, secret=secret)
        self._call(lambda: setattr(self._world.carrier, "webhook", target))

    def mailbox(self, to: str | None = None) -> dict[str, Any]:
        """{"messages", "duplicates"}, of one address or of all."""
        return self._call(lambda: self._world.mailbox.as_json(to))

    def fault(self, order: dict[str, Any]) -> str:
        """Order a fault as POST /faults takes it, and return its id. Raises pydantic.ValidationError."""
        checked = FaultOrder.model_validate(order)
        return self._call(lambda: self._world.faults.add(checked))

    def clear_faults(self) -> None:
        self._call(self._world.clear_faults)

    def clear(self) -> None:
        """Forget money, parcels, mail, requests and faults."""
        self._call(self._world.clear)

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._closing = asyncio.Event()
        try:
            async with serve(self._world, *self._ports) as addresses:
                self._opened.set_result(addresses)
                await self._closing.wait()
        except Exception as error:
            if self._opened.done():
                raise
            self._opened.set_exception(error)

    def _call(self, act: Callable[[], Value]) -> Value:
        # On the sandbox's own loop, so that no request is half way through.
        async def run() -> Value:
            return act()

        return self._run_there(run())

    def _run_there(self, work: Coroutine[Any, Any, Value]) -> Value:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()
