"""How integration tests import files of orders, and see what became of their rows."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Any

from azure.storage.blob import BlobServiceClient, ContainerClient

from tests.integration.jobs_seen import Jobs, fresh

PATIENCE = 5
"""Minutes of the virtual clock."""
HEADER = "customerId,name,email,address,card,currency,items"


def row(customer: str, sku: str, *, email: str | None = None) -> str:
    """A row of a CSV file: one piece of one article."""
    return f'{customer},"Ada ""{customer}"" Byron",{email or customer + "@example.com"},"1 St, Ü",tok_visa,EUR,{sku}:1'


def table(rows: Iterable[str]) -> bytes:
    """A CSV file."""
    return "".join(f"{line}\r\n" for line in (HEADER, *rows)).encode()


class Imports:
    """The imports of one shop."""

    def __init__(self, jobs: Jobs) -> None:
        self.jobs = jobs
        self.shop = jobs.shop

    def upload(self, content: bytes, name: str | None = None) -> dict[str, str]:
        """Put a file into the container, and return the input of its import."""
        name = name or f"{fresh('file')}.csv"
        with BlobServiceClient.from_connection_string(self.jobs.storage) as service:
            blob = service.get_blob_client("order-imports", name)
            return {"name": name, "etag": blob.upload_blob(content, overwrite=True)["etag"]}

    def clear(self) -> None:
        """Delete all files: the hosts of later tests would import them."""
        with ContainerClient.from_connection_string(self.jobs.storage, "order-imports") as container:
            for name in list(container.list_blob_names()):
                container.delete_blob(name)

    def begin(self, file: dict[str, str]) -> str:
        """Submit the job that the blob door would submit, and return its id."""
        parts = (part.encode() for part in ("order-imports", file["name"], file["etag"]))
        id = sha256(b"".join(sha256(part).digest() for part in parts)).hexdigest()[:32]
        assert self.jobs.submit(id, file, kind="order-import").status_code in (200, 202)
        return id

    def ended(self, content: bytes, name: str | None = None) -> dict[str, Any]:
        """Import a file, and return the status of its job when that has ended."""
        id = self.begin(self.upload(content, name))
        self.shop.drain()
        for _ in range(PATIENCE):
            if self.jobs.status(id, "order-import")["status"] != "Running":
                break
            # On a busy machine a request of one of its many chunks may get no answer: the chunk is tried again.
            self.shop.advance(minutes=1)
        return self.jobs.ended(id, "order-import")

    def bad_rows(self, status: dict[str, Any]) -> list[dict[str, str]]:
        """What the report of an import says: line, field and reason."""
        return list(csv.DictReader(io.StringIO(self._blob(status["result"]["report"]).decode(), newline="")))

    def summary(self, status: dict[str, Any]) -> dict[str, Any]:
        return json.loads(self._blob(status["result"]["summary"]))

    def _blob(self, link: dict[str, str]) -> bytes:
        container, _, name = link["blob"].partition("/")
        with BlobServiceClient.from_connection_string(self.jobs.storage) as service:
            return service.get_blob_client(container, name).download_blob().readall()

    def orders(self, identity: str) -> dict[int, dict[str, Any]]:
        """The ledger's rows of the orders of a file, by line."""
        query = f"PartitionKey eq 'order' and RowKey ge '{identity}-' and RowKey lt '{identity}.'"
        rows = self.jobs.rows("jobs", query)
        return {int(each["RowKey"].removeprefix(f"{identity}-")): each for each in rows}


def identity(name: str) -> str:
    """That of a file whose content was never imported under another name."""
    return sha256(name.encode()).hexdigest()[:16]


def counts(status: dict[str, Any]) -> Sequence[int]:
    """Rows, accepted, ordered before, bad."""
    return [status["result"][name] for name in ("rows", "accepted", "orderedBefore", "bad")]
