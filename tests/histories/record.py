"""Records the histories beside this file, from real runs on the in-process host: `python -m tests.histories.record`.
With names of scenarios (`orders`, `nightly`, …) only theirs.

Time stands still except where a scenario lets it pass, one activity runs at a time, and what storage and the sandbox
make up at random is numbered: so a recording differs from the last one only where the app does.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from azure.storage.blob import BlobServiceClient

from devhost.azurite import Azurite
from devhost.clock import VirtualClock
from devhost.histories import save
from devhost.servicebus.in_process import InProcessServiceBus
from devhost.testing import TestHost
from sandbox.in_process import Sandbox
from tests.conftest import BLOB_DOORS, ROOT, TIMERS, Stock, settings_for
from tests.impatience import without_naps
from tests.integration.importing import Imports, row, table
from tests.integration.jobs_seen import PRICE, Jobs
from tests.integration.questions_seen import ASKING, ESCALATION, FIRST, Questions
from tests.orders import article

FOLDER = Path(__file__).parent
BEGAN = datetime(2026, 1, 1, 12, tzinfo=UTC)
LIMIT = 3 * PRICE
SETTINGS = {
    **{f"AzureWebJobs.{name}.Disabled": "1" for name in (*TIMERS, *BLOB_DOORS)},
    **ASKING,
    "ORDER_APPROVAL_LIMIT": str(LIMIT),
    "IMPORT_ROWS_PER_CHUNK": "1",
    "REPORT_MAIL_TO": "owner@nightshift.example",
    "AzureFunctionsJobHost__extensions__durableTask__maxConcurrentActivityFunctions": "1",
}
MADE_UP = {
    # Storage's versions of rows and blobs, in which every layer of JSON has put its own backslashes.
    r"datetime'[^']+'": "datetime'{}'",
    r"0x[0-9A-F]{12,20}": "0x{:X}",
    # The SDK's and the app's uuids, and the sandbox's numbers of payments and parcels.
    r"\b[0-9a-f]{32}\b": "{:032x}",
    r"\b[0-9a-f]{16}\b": "{:016x}",
    r"\b(?P<kind>authorization|charge|refund)_[0-9a-f]{12}\b": "{kind}_{:012x}",
    r"\bPX[0-9A-F]{12}\b": "PX{:012X}",
    # The sandbox's carrier goes by the real time.
    rf"{datetime.now(UTC):%Y-%m-%d}T[0-9:.]{{15}}Z": f"{BEGAN:%Y-%m-%d}T00:00:00.{{:06}}Z",
}


class StillClock(VirtualClock):
    """Time that passes only when it is told to."""

    def now(self) -> datetime:
        return BEGAN + self._offset


class Recorder:
    """One shop, and the histories of its instances."""

    def __init__(self, host: TestHost, jobs: Jobs) -> None:
        self.host, self.jobs = host, jobs
        self.questions = Questions(jobs)
        self.jobs.sku = "MUG"
        self.jobs.stock.put(article("MUG", 1000, price=PRICE))

    def start(self, kind: str, id: str, input: dict | None = None) -> None:
        """Submit a job, and wait until it has ended or waits."""
        answer = self.jobs.submit(id, input, kind=kind, x_correlation_id=f"{kind}-{id}")
        assert answer.status_code == 202, answer.text
        self.host.drain()

    def end(self, kind: str, id: str, status: str) -> None:
        """Keep what the job did, which must have ended so."""
        self.host.drain()
        assert self.jobs.status(id, kind)["status"] == status, self.jobs.status(id, kind)
        self.keep(f"{kind}-{id}")

    def keep(self, instance: str, name: str | None = None) -> list[dict]:
        """Write an instance's history, and return its events."""
        text = numbered(save(self.host.app.task_hub, instance))
        (FOLDER / f"{name or instance.replace('~', '.')}.json").write_text(text)
        return json.loads(text)["history"]

    def fault(self, customer: str, operation: str, fault: str, **more: int) -> None:
        self.jobs.sandbox.fault({"when": {"customer": customer, "operation": operation}, "fault": fault, **more})


def numbered(text: str) -> str:
    """The text, in which each thing that was made up at random has a number in the order in which they come."""
    for pattern, form in MADE_UP.items():
        known: dict[str, str] = {}

        def replace(found: re.Match, form: str = form, known: dict[str, str] = known) -> str:
            return known.setdefault(found[0], form.format(len(known) + 1, **found.groupdict()))

        text = re.sub(pattern, replace, text)
    return text


def record_orders(shop: Recorder) -> None:
    """Sold, sold after faults, declined, undone, cancelled while it waits to try again."""
    shop.start("order", "sold")
    shop.end("order", "sold", "Completed")
    shop.fault("retried", "authorize", "error", times=2)
    shop.start("order", "retried")
    shop.host.advance(minutes=1)
    shop.end("order", "retried", "Completed")
    shop.fault("declined", "authorize", "decline")
    shop.start("order", "declined")
    shop.end("order", "declined", "Failed")
    shop.fault("undone", "charge", "drop_after")
    shop.start("order", "undone")
    shop.host.advance(minutes=10)
    shop.end("order", "undone", "Failed")
    shop.fault("cancelled", "charge", "error")
    shop.start("order", "cancelled")
    cancel(shop, "order", "cancelled")
    shop.end("order", "cancelled", "Cancelled")


def record_approved_orders(shop: Recorder) -> None:
    """Over the limit: approved, rejected, cancelled while a person is asked."""
    for id in ("approved", "rejected", "withdrawn"):
        shop.start("order", id, shop.jobs.order(id, quantity=4))
    shop.questions.decide("order-approved", "approve")
    shop.end("order", "approved", "Completed")
    shop.questions.decide("order-rejected", "reject", reason="Too many mugs")
    shop.end("order", "rejected", "Failed")
    cancel(shop, "order", "withdrawn")
    shop.end("order", "withdrawn", "Cancelled")
    for id in ("approved", "rejected", "withdrawn"):
        shop.keep(f"order-{id}~decision")


def record_approvals(shop: Recorder) -> None:
    """Approved after a false alarm; reminded, escalated and decided by default; one that waits still."""
    shop.start("approval", "approved", {"question": "Shall we open on Sunday?"})
    raise_event(shop, "approval-approved~decision", "decided.0")
    shop.questions.vote(shop.questions.link(FIRST, "approved"), "approve", reason="Why not")
    shop.end("approval", "approved", "Completed")
    shop.keep("approval-approved~decision")
    shop.start("approval", "unanswered", {"question": "Is anybody there?", "details": {"doors": 2}})
    shop.host.advance(seconds=2 * ESCALATION + 1)
    shop.end("approval", "unanswered", "Completed")
    shop.keep("approval-unanswered~decision")
    shop.start("approval", "waiting", {"question": "What is it worth?"})
    shop.keep("approval-waiting")
    shop.keep("approval-waiting~decision")


def record_refunds(shop: Recorder) -> None:
    """Paid, rejected, refused by the gateway."""
    shop.start("order", "returned")
    for id, decision in (("paid", "approve"), ("rejected", "reject"), ("refused", "approve")):
        shop.start("refund", id, {"order": "returned", "amount": 100, "reason": "Broken on arrival"})
        if id == "refused":
            shop.fault("returned", "refund", "decline")
        shop.questions.decide(f"refund-{id}", decision)
        shop.end("refund", id, "Completed" if id == "paid" else "Failed")
    shop.keep("refund-paid~decision")


def record_photo(shop: Recorder) -> None:
    """In three sizes."""
    picture = (ROOT / "samples" / "photos" / "camera.png").read_bytes()
    with BlobServiceClient.from_connection_string(shop.jobs.storage) as service:
        etag = service.get_blob_client("photos", "camera.png").upload_blob(picture)["etag"]
    shop.start("photo", "camera", {"name": "camera.png", "etag": etag})
    shop.end("photo", "camera", "Completed")


def record_import(shop: Recorder) -> None:
    """Six rows, one of them bad, a row a chunk, and so two parts."""
    rows = [row(f"customer-{number}", "MUG" if number != 3 else "no article") for number in range(6)]
    shop.start("order-import", "file", Imports(shop.jobs).upload(table(rows), "orders.csv"))
    shop.host.advance(minutes=1)
    shop.end("order-import", "file", "Completed")
    events = json.loads(save(shop.host.app.task_hub, "order-import-file"))["history"]
    parts = [event["InstanceId"] for event in events if event["EventType"] == 7]
    for number, part in enumerate(parts, 1):
        shop.keep(part, f"order-import-file.part-{number}")


def record_nightly(shop: Recorder) -> None:
    """A day's report and a night's cleaning up."""
    day = shop.host.app.clock.now().date().isoformat()
    shop.start("order", "yesterday")
    shop.host.advance(days=1)
    shop.start("sales-report", day, {"day": day})
    shop.end("sales-report", day, "Completed")
    shop.start("retention", "night", {"dryRun": True})
    shop.end("retention", "night", "Completed")


def record_shipments(shop: Recorder) -> None:
    """An order that is shipped, and its parcel: through an outage and a second execution to its delivery."""
    shop.start("order", "shipped")
    shop.end("order", "shipped", "Completed")
    (parcel,) = shop.jobs.sandbox.parcels("order-shipped")["parcels"]
    executions: dict[str, str] = {}

    def watch(**span: int) -> None:
        shop.host.advance(**span)
        instance = f"shipment-{parcel['id']}"
        events = json.loads(save(shop.host.app.task_hub, instance))["history"]
        execution = next(event for event in events if event["EventType"] == 0)["OrchestrationInstance"]["ExecutionId"]
        number = list(executions).index(execution) + 1 if execution in executions else len(executions) + 1
        executions[execution] = ""
        shop.keep(instance, f"shipment-{number}")

    watch(minutes=1)
    shop.jobs.sandbox.move_parcel(parcel["id"], "collected")
    for hours in range(12):
        if hours == 2:
            shop.jobs.sandbox.fault({"when": {"operation": "track"}, "fault": "error", "times": 1})
        watch(hours=3)
    for state in ("in-transit", "out-for-delivery", "delivered"):
        shop.jobs.sandbox.move_parcel(parcel["id"], state)
        watch(hours=13)
    assert len(executions) == 2 and shop.jobs.ended(parcel["id"], "shipment")["status"] == "Completed"


def cancel(shop: Recorder, kind: str, id: str) -> None:
    assert shop.host.post(f"/api/jobs/{kind}/{id}/cancel").status_code == 202
    shop.host.drain()


def raise_event(shop: Recorder, instance: str, name: str) -> None:
    """As an operator might."""
    url = f"/runtime/webhooks/durabletask/instances/{instance}/raiseEvent/{name}"
    assert shop.host.post(url, json={}).status_code == 202
    shop.host.drain()


Scenario = Callable[[Recorder], None]
SHOPS: dict[str, tuple[Scenario, ...]] = {
    "": (
        record_orders,
        record_approved_orders,
        record_approvals,
        record_refunds,
        record_photo,
        record_import,
        record_nightly,
    ),
    "CARRIER_URL": (record_shipments,),
}
"""What is recorded in a shop without a carrier, and in one with it."""


def main(wanted: Sequence[str]) -> None:
    """Record what is wanted, or all."""
    if not wanted:
        for old in FOLDER.glob("*.json"):
            old.unlink()
    for setting, scenarios in SHOPS.items():
        for scenario in scenarios:
            if not wanted or scenario.__name__.removeprefix("record_") in wanted:
                record(scenario, setting)
    print(f"{len(list(FOLDER.glob('*.json')))} histories in {FOLDER}; see `git diff` for what has changed")


def record(scenario: Scenario, setting: str) -> None:
    """Run one scenario in a shop of its own."""
    with (
        without_naps(),
        Azurite(search_from=ROOT) as azurite,
        InProcessServiceBus(ROOT / "servicebus.json") as bus,
        Sandbox() as sandbox,
    ):
        settings = settings_for(azurite.connection_string, bus.connection_string, sandbox) | SETTINGS
        if setting:
            settings[setting] = sandbox.url
        with TestHost(ROOT, settings=settings, clock=StillClock()) as host:
            clock, clients = sys.modules["jobs.clock"], sys.modules["jobs.clients"]
            clock.now, clock.zone = host.app.clock.now, lambda: UTC
            host.call(lambda: clients.clients().provide())
            scenario(Recorder(host, Jobs(host, sandbox, Stock(settings), azurite.connection_string)))
            host.call(host.app.pause)
            host.call(lambda: clients.clients().close())


if __name__ == "__main__":
    main(sys.argv[1:])
