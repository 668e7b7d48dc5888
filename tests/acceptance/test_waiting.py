"""`kill -9` of the host while all sorts of jobs wait: each ends once, and right, as if there had been one host only.

People, the carrier, a receiver of callbacks and the bus's clock are what they wait for. All wait in one stack at once,
in real time. Which settings a life of the host has decides how far the questions that it opens will come.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from devhost.azurite import Azurite
from tests.acceptance.processes import BusProcess, HostProcess, wait_until
from tests.acceptance.waiting import FIRST, SECOND, Jobs, Receiver
from tests.conftest import BLOB_DOORS, Stock, settings_for
from tests.orders import article, order

SECRET = "whsec_Zm9yIHRlc3RzIG9mIHdoYXQgd2FpdHM="
PRICE = 1000
WANTED, REMINDER = "Approval wanted", "Reminder: approval wanted"
PATIENT = {"APPROVAL_REMINDER": "600", "APPROVAL_ESCALATION": "1200"}
REMINDING = {"APPROVAL_REMINDER": "0.5", "APPROVAL_ESCALATION": "1200"}
ESCALATING = {"APPROVAL_REMINDER": "600", "APPROVAL_ESCALATION": "8"}
DELAY = timedelta(seconds=18)


@pytest.mark.timeout(900)
def test_whatever_waits_outlives_its_host(sandbox, tmp_path):
    receiver = Receiver(SECRET)
    # An Azurite of its own: the watchdog would look after the jobs of other tests.
    with receiver.listening() as callback, Azurite() as azurite, BusProcess(tmp_path) as bus:
        shop = settings_for(azurite.connection_string, bus.connection_string, sandbox)
        stock = Stock(shop)
        stock.load(article("WAIT", 10, price=PRICE))
        host = HostProcess(tmp_path, shop, "--task-hub", str(tmp_path / "hub.sqlite3"))
        host.configure(
            NIGHTSHIFT_URL=host.url,
            APPROVERS=f"{FIRST} {SECOND}",
            SIGNING_KEY="a key that only tests know",
            ORDER_APPROVAL_LIMIT=str(2 * PRICE),
            CARRIER_URL=sandbox.url,
            CARRIER_WEBHOOK_SECRET=SECRET,
            SHIPMENT_FIRST_INTERVAL="0.5",
            SHIPMENT_LONGEST_INTERVAL="1",
            WEBHOOK_SECRET=SECRET,
            CALLBACK_ALLOWED_HOSTS=callback,
            DELIVERY_FIRST_PAUSE="0.5",
            DELIVERY_LONGEST_PAUSE="1",
            DEVHOST_QUEUE_LEASE="3",
            AzureFunctionsJobHost__extensions__queues__maxPollingInterval="00:00:00.2",
            WATCHDOG_SCHEDULE="*/5 * * * * *",
            **{f"AzureWebJobs.{name}.Disabled": "1" for name in BLOB_DOORS},
            **PATIENT,
        )
        sandbox.tell_parcels_at(f"{host.url}/api/webhooks/carrier", SECRET)
        jobs = Jobs(host, sandbox)
        with host:
            # Life 1: everybody waits for their first time.
            jobs.submit("order", "sold", order("sold", "WAIT"), callbackUrl=f"http://{callback}/told")
            jobs.submit("order", "dear", order("dear", "WAIT", quantity=3))
            jobs.submit("approval", "asked", {"question": "Shall we?"})
            jobs.ended("order", "sold")
            jobs.submit("refund", "back", {"order": "sold", "reason": "Broken on arrival"})
            parcel = jobs.parcel_of("sold")
            waiting = [("order", "dear"), ("approval", "asked"), ("refund", "back")]
            for kind, id in waiting:
                jobs.waits(kind, id, "approval")
                jobs.expects(FIRST, kind, id, WANTED)
            assert jobs.waits("shipment", parcel, "carrier")["progress"]["outages"] == 0
            tried_in_vain(jobs, receiver)
            not_before = datetime.now(UTC) + DELAY
            jobs.submit("mail", "late", mail("late"), notBefore=not_before.isoformat())
            assert jobs.status("mail", "late")["status"] == "Pending"

            # Life 2: a reminder, and a carrier that is away.
            sandbox.fault({"when": {"operation": "track"}, "fault": "error"})
            again(host, REMINDING)
            jobs.submit("approval", "reminded", {"question": "Shall we?"})
            jobs.expects(FIRST, "approval", "reminded", WANTED, REMINDER)
            waiting.append(("approval", "reminded"))
            for kind, id in waiting:
                assert jobs.status(kind, id)["waitingFor"] == "approval"
            wait_until(lambda: jobs.waits("shipment", parcel, "carrier")["progress"]["outages"] > 1, "an outage")
            tried_in_vain(jobs, receiver)
            assert jobs.status("mail", "late")["status"] == "Pending"

            # Nobody is there when the carrier calls. The next life asks it, and two are left to the next approver.
            host.kill()
            sandbox.clear_faults()
            assert sandbox.move_parcel(parcel, "collected")["webhook"] == [None]
            again(host, ESCALATING, is_dead=True)
            for id in ("escalated", "left"):
                jobs.submit("approval", id, {"question": "Shall we?", "default": "approve"})
            wait_until(lambda: jobs.status("shipment", parcel)["progress"].get("state") == "collected", "it is found")
            for kind, id in waiting:
                assert jobs.status(kind, id)["waitingFor"] == "approval"
                jobs.vote(FIRST, kind, id, "reject" if id == "asked" else "approve")
            decisions = {id: jobs.ended("approval", id)["result"] for id in ("asked", "reminded")}
            refunded = jobs.ended("refund", "back")["result"]
            jobs.ended("order", "dear")
            other_parcel = jobs.parcel_of("dear")
            for id in ("escalated", "left"):
                jobs.expects(SECOND, "approval", id, WANTED)
                assert jobs.status("approval", id)["waitingFor"] == "approval"
            expires_at = jobs.expires_at("approval-left")
            tried_in_vain(jobs, receiver)

            # Life 4: the next approver answers. The last question's time ends while nobody lives.
            again(host, PATIENT)
            jobs.vote(SECOND, "approval", "escalated", "reject")
            decisions["escalated"] = jobs.ended("approval", "escalated")["result"]
            assert jobs.status("approval", "left")["waitingFor"] == "approval"
            for each in (parcel, other_parcel):
                jobs.waits("shipment", each, "carrier")
            host.kill()
            receiver.is_willing = True
            wait_until(lambda: datetime.now(UTC) > expires_at, "the question's time is over")
            again(host, PATIENT, is_dead=True)

            decisions["left"] = jobs.ended("approval", "left")["result"]
            for each in (parcel, other_parcel):
                assert sandbox.move_parcel(each, "delivered")["webhook"] == [202]
                assert jobs.ended("shipment", each)["result"]["state"] == "delivered"
            wait_until(lambda: jobs.callback("sold")["state"] == "Delivered", "the outcome is told")
            late = jobs.ended("mail", "late")

        ways = {id: (found["decision"], found["by"], found["via"]) for id, found in decisions.items()}
        assert ways == {
            "asked": ("rejected", FIRST, "link"),
            "reminded": ("approved", FIRST, "link"),
            "escalated": ("rejected", SECOND, "link"),
            "left": ("approved", None, "default"),
        }
        for kind, id in waiting:
            assert jobs.questions(FIRST, kind, id) == ([WANTED, REMINDER] if id == "reminded" else [WANTED])
            assert jobs.questions(SECOND, kind, id) == []
        for id in ("escalated", "left"):
            assert jobs.questions(FIRST, "approval", id) == jobs.questions(SECOND, "approval", id) == [WANTED]
        assert refunded["amount"] == PRICE
        assert jobs.booked("sold") == Counter(authorization=1, charge=1, refund=1)
        assert jobs.booked("dear") == Counter(authorization=1, charge=1)
        assert stock.left("WAIT") == 6
        news = [f"Your order sold: parcel {state}" for state in ("announced", "collected", "delivered")]
        assert sorted(jobs.mails("sold@example.com")) == ["Refund for your order sold", "Your order sold", *news]
        news = [f"Your order dear: parcel {state}" for state in ("announced", "delivered")]
        assert sorted(jobs.mails("dear@example.com")) == ["Your order dear", *news]
        assert (jobs.mails("late@example.com"), late["startedAt"] >= late["notBefore"]) == (["Late"], True)
        answers = Counter(answer for answer, _, _ in receiver.tries)
        # A try that was killed comes again, maybe beside the next one: the receiver knows both by their id.
        assert answers[204] in (1, 2) and answers[500] >= 3
        assert len({id for _, id, _ in receiver.tries}) == 1, "each try is known by the same id"
        assert {(told["type"], told["data"]["id"]) for _, _, told in receiver.tries} == {("job.completed", "sold")}


def again(host: HostProcess, settings: dict[str, str], *, is_dead: bool = False) -> None:
    """The next life of the host, after a SIGKILL."""
    if not is_dead:
        host.kill()
    host.configure(**settings)
    host.start().wait_ready()


def tried_in_vain(jobs: Jobs, receiver: Receiver) -> None:
    """Wait until this life of the host has told the outcome once more, and the next try is to come."""
    before = len(receiver.tries)
    wait_until(lambda: len(receiver.tries) > before, "another try")
    assert (jobs.callback("sold")["state"], receiver.tries[-1][0]) == ("Pending", 500)


def mail(id: str) -> dict[str, str]:
    return {"to": f"{id}@example.com", "subject": id.title(), "text": "Soon."}
