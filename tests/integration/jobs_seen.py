"""How integration tests hand jobs in, wait for them, and see what became of them in the world outside the app."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import httpx
from azure.core.exceptions import ResourceNotFoundError
from azure.data.tables import TableServiceClient
from azure.storage.blob import ContainerClient
from azure.storage.queue import QueueClient

from tests.conftest import Stock
from tests.orders import article, order

if TYPE_CHECKING:
    from devhost.testing import TestHost
    from sandbox.in_process import Sandbox

PRICE = 1250
PIECES = 10


def fresh(prefix: str) -> str:
    """An id that no other test has used: Azurite lives as long as the session."""
    return f"{prefix}-{uuid4().hex[:8]}"


class Jobs:
    """The jobs of one shop: one article with `PIECES` pieces, orders for it, and where to look afterwards."""

    def __init__(self, shop: TestHost, sandbox: Sandbox, stock: Stock, storage: str) -> None:
        self.shop = shop
        self.sandbox = sandbox
        self.storage = storage
        self.sku = fresh("SKU").upper()
        self.stock = stock
        stock.put(article(self.sku, PIECES, price=PRICE))

    # Handing in

    def order(self, id: str, quantity: int = 1) -> dict[str, Any]:
        """The input of an order for the article. The customer has the id of the order."""
        return order(id, self.sku, quantity)

    def submit(self, id: str, input: Any = None, *, kind: str = "order", **headers: str) -> httpx.Response:
        """POST a job. `input`: one piece of the article unless given; underscores in names of headers are hyphens."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        given = self.order(id) if input is None else input
        return self.shop.post(f"/api/jobs/{kind}", json=given, headers={"Idempotency-Key": id, **named})

    def send(self, id: str, input: Any = None, *, kind: str = "order", queue: str = "jobs", **fields: Any) -> str:
        """Drop a job into a queue, and return the message's id."""
        given = self.order(id) if input is None else input
        return self.put(json.dumps({"kind": kind, "id": id, "input": given, **fields}), queue)

    def put(self, text: str, queue: str = "jobs") -> str:
        """Drop any text into a queue, and return the message's id."""
        with QueueClient.from_connection_string(self.storage, queue) as client:
            return client.send_message(text).id

    # What became of it

    def status(self, id: str, kind: str = "order") -> dict[str, Any]:
        return self.shop.get(f"/api/jobs/{kind}/{id}").raise_for_status().json()

    def ended(self, id: str, kind: str = "order") -> dict[str, Any]:
        """The status of a job that must have ended."""
        found = self.status(id, kind)
        assert found["status"] in ("Completed", "Failed", "Cancelled"), found
        return found

    def left(self) -> int:
        """How many pieces of the article can still be sold."""
        return self.stock.left(self.sku)

    def booked(self, id: str) -> list[str]:
        """The kinds of the gateway's entries for an order, in their order."""
        return [entry["kind"] for entry in self.sandbox.ledger(f"order-{id}")["entries"]]

    def balance(self, id: str | None = None) -> int:
        """What the gateway has of the customer's money, or of everybody's."""
        return self.sandbox.ledger(f"order-{id}" if id else None)["balance"]

    def asked(self, id: str, operation: str) -> list[dict[str, Any]]:
        """The requests for one operation (authorize, charge, refund, void) that the gateway saw for an order."""
        seen = self.sandbox.requests(f"order-{id}")["requests"]
        return [request for request in seen if request["operation"] == operation]

    def mails(self, id: str) -> list[dict[str, Any]]:
        """What arrived at the customer of an order."""
        return self.sandbox.mailbox(f"{id.lower()}@example.com")["messages"]

    def runs(self) -> Counter[str]:
        """How often each function has been run."""
        return Counter(record.function for record in self.shop.invocations)

    def rows(self, table: str, query: str = "") -> list[dict[str, Any]]:
        """The rows of a table, all of them or those of an OData filter."""
        with TableServiceClient.from_connection_string(self.storage) as service:
            return [dict(row) for row in service.get_table_client(table).query_entities(query)]

    def messages(self, queue: str) -> list[str]:
        """The texts that wait in a queue, at most 32; none if there is no such queue."""
        with QueueClient.from_connection_string(self.storage, queue) as client:
            try:
                return [message.content for message in client.peek_messages(32)]
            except ResourceNotFoundError:
                return []

    def blobs(self, container: str, prefix: str) -> dict[str, bytes]:
        """What is in the blobs whose names begin so."""
        with ContainerClient.from_connection_string(self.storage, container) as client:
            names = list(client.list_blob_names(name_starts_with=prefix))
            return {name: client.download_blob(name).readall() for name in names}

    def clear(self, queue: str) -> None:
        """Throw away what waits in a queue."""
        with QueueClient.from_connection_string(self.storage, queue) as client:
            client.clear_messages()

    # Time

    @contextmanager
    def closed_doors(self) -> Iterator[None]:
        """The host takes no message out of a queue inside the block."""
        self.shop.call(self.shop.app.pause)
        yield
        self.shop.call(self.shop.app.resume)

    def after(self, function: str, act: Callable[[], Any]) -> None:
        """Do something the moment that a function has run, before the host goes on."""

        def observe(record: Any) -> None:
            if record.function == function:
                act()

        self.shop.call(self.shop.app.invoker.observers.append, observe)
