"""Orders by every door, and how they end: sold, or refused with stock and money as they were."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from azure.data.tables import TableServiceClient

from tests.integration.jobs_seen import PIECES, PRICE, fresh
from tests.orders import article

DOORS = ("http", "jobs", "jobs-urgent")


def hand_in(jobs, door: str, id: str, input=None) -> None:
    if door == "http":
        assert jobs.submit(id, input).status_code == 202
    else:
        jobs.send(id, input, queue=door)
    jobs.shop.drain()


def order_despite(jobs, operation: str, **fault) -> str:
    """Order one piece from a gateway that fails, wait for as long as retries may take, and return the order's id."""
    id = fresh("order")
    jobs.sandbox.fault({"when": {"customer": id, "operation": operation}, **fault})
    hand_in(jobs, "http", id)
    jobs.shop.advance(minutes=10)
    return id


def assert_undone(jobs, id: str) -> None:
    """All pieces and all money are where they were before."""
    assert jobs.left() == PIECES
    assert jobs.balance(id) == 0
    held = jobs.rows("stock", f"PartitionKey eq '{jobs.sku}' and state eq 'Held'")
    assert held == []
    # What is only authorized keeps a customer from spending it.
    kinds = jobs.booked(id)
    assert kinds.count("authorization") == kinds.count("void") + kinds.count("charge"), kinds
    assert jobs.mails(id) == []


@pytest.mark.parametrize("door", DOORS)
def test_a_good_order_is_sold(jobs, door):
    id = fresh("sold")
    hand_in(jobs, door, id, jobs.order(id, quantity=3))
    done = jobs.ended(id)
    assert done["status"] == "Completed"
    assert done["progress"] == {"percent": 100, "step": None}
    (charge,) = (entry for entry in jobs.sandbox.ledger(f"order-{id}")["entries"] if entry["kind"] == "charge")
    assert done["result"] == {
        "lines": [{"sku": jobs.sku, "quantity": 3, "price": PRICE}],
        "total": 3 * PRICE,
        "currency": "EUR",
        "charge": charge["id"],
    }
    assert jobs.left() == PIECES - 3
    assert jobs.booked(id) == ["authorization", "charge"]
    assert jobs.balance(id) == 3 * PRICE
    (mail,) = jobs.mails(id)
    assert id in mail["subject"] and "37.50 EUR" in mail["text"]
    (book,) = jobs.rows("orders", f"PartitionKey eq '{id}' and RowKey eq 'order'")
    assert (book["state"], book["charge"]) == ("HandedOver", charge["id"])
    (sale,) = jobs.rows("analytics", f"RowKey eq 'order-{id}.record_sale'")
    assert sale["PartitionKey"].endswith(".sale")


@pytest.mark.parametrize("door", DOORS)
def test_out_of_stock(jobs, door):
    id = fresh("greedy")
    hand_in(jobs, door, id, jobs.order(id, quantity=PIECES + 1))
    done = jobs.ended(id)
    assert (done["status"], done["error"]["type"], done["error"]["retryable"]) == ("Failed", "OutOfStock", False)
    assert jobs.sandbox.requests(f"order-{id}")["requests"] == []
    assert jobs.runs()["reserve_stock"] == 1
    assert_undone(jobs, id)


def test_a_declined_card_costs_one_attempt(jobs):
    id = order_despite(jobs, "authorize", fault="decline")
    done = jobs.ended(id)
    assert (done["status"], done["error"]["type"]) == ("Failed", "CardDeclined")
    assert len(jobs.asked(id, "authorize")) == 1
    assert_undone(jobs, id)


@pytest.mark.parametrize("operation", ["authorize", "charge"])
def test_a_gateway_that_fails_twice_is_asked_again(jobs, operation):
    id = fresh("flaky")
    jobs.sandbox.fault({"when": {"customer": id, "operation": operation}, "fault": "error", "times": 2})
    hand_in(jobs, "http", id)
    waiting = jobs.status(id)
    assert (waiting["status"], waiting["progress"]["step"]) == ("Running", "charge_payment")
    # The next attempt waits on a durable timer; on a busy machine the first, of less than a second, may be over.
    assert len(jobs.asked(id, operation)) in (1, 2)
    jobs.shop.advance(minutes=1)
    assert jobs.ended(id)["status"] == "Completed"
    attempts = jobs.asked(id, operation)
    assert [attempt["status"] for attempt in attempts] == [500, 500, 201]
    assert len({attempt["key"] for attempt in attempts}) == 1
    assert jobs.booked(id) == ["authorization", "charge"]


def test_retry_after_is_honoured(jobs):
    id = fresh("throttled")
    fault = {"fault": "throttle", "retryAfter": 600, "times": 1}
    jobs.sandbox.fault({"when": {"customer": id, "operation": "authorize"}, **fault})
    hand_in(jobs, "http", id)
    jobs.shop.advance(seconds=590)
    assert jobs.status(id)["status"] == "Running"
    assert len(jobs.asked(id, "authorize")) == 1
    jobs.shop.advance(seconds=10)
    assert jobs.ended(id)["status"] == "Completed"
    assert [attempt["status"] for attempt in jobs.asked(id, "authorize")] == [429, 201]


@pytest.mark.parametrize("operation", ["authorize", "charge"])
@pytest.mark.parametrize("fault", ["drop_before", "drop_after"])
def test_a_lost_answer_is_not_a_second_payment(jobs, operation, fault):
    id = order_despite(jobs, operation, fault=fault, times=1)
    assert jobs.ended(id)["status"] == "Completed"
    assert len(jobs.asked(id, operation)) == 2
    assert jobs.booked(id) == ["authorization", "charge"]
    assert jobs.balance(id) == PRICE
    assert jobs.left() == PIECES - 1


@pytest.mark.parametrize(
    ("fault", "operation"),
    # An error and a dropped request are the same to the app.
    [("error", "authorize"), ("drop_before", "charge"), ("drop_after", "authorize"), ("drop_after", "charge")],
)
def test_a_gateway_that_is_down_for_good_ends_in_everything_undone(jobs, operation, fault):
    id = order_despite(jobs, operation, fault=fault)
    done = jobs.ended(id)
    assert (done["status"], done["error"]["type"]) == ("Failed", "GatewayUnavailable")
    assert done["error"]["retryable"], "another order may fare better later"
    assert "openCompensations" not in done["error"]
    assert len(jobs.asked(id, operation)) == 6
    assert_undone(jobs, id)


@pytest.mark.parametrize(("fault", "attempts"), [("decline", 1), ("error", 20)])
def test_a_refund_that_fails_for_good_leaves_the_order_failed_and_says_so(jobs, fault, attempts):
    id = fresh("stuck")
    jobs.sandbox.fault({"when": {"customer": id, "operation": "refund"}, "fault": fault})
    withdraw(jobs, id)
    hand_in(jobs, "http", id)
    jobs.shop.advance(hours=1)
    done = jobs.ended(id)
    assert (done["status"], done["error"]["type"]) == ("Failed", "OrderWithdrawn")
    assert done["error"]["openCompensations"] == ["refund_payment"]
    assert len(jobs.asked(id, "refund")) == attempts
    # The customer's money is still here, and a person must give it back; the rest is undone all the same.
    assert jobs.booked(id) == ["authorization", "charge"]
    assert jobs.balance(id) == PRICE
    assert jobs.left() == PIECES
    instance = jobs.shop.get(f"/runtime/webhooks/durabletask/instances/order-{id}").json()
    assert instance["runtimeStatus"] == "Failed"


def withdraw(jobs, id: str) -> None:
    """Somebody takes the order out of the book before it is confirmed: `confirm_order` then refuses it for good."""
    with TableServiceClient.from_connection_string(jobs.storage) as service:
        row = {"PartitionKey": id, "RowKey": "order", "state": "Withdrawn"}
        service.get_table_client("orders").create_entity(row)


def tear_out(jobs, id: str) -> None:
    """Somebody tears the order out of the book before it is handed over: `hand_over_order` then fails for good."""
    with TableServiceClient.from_connection_string(jobs.storage) as service:
        service.get_table_client("orders").delete_entity(id, "order")


class TestEachStepThatFailsUndoesThoseBefore:
    """In the order of the saga, each for a reason that the real world has."""

    def test_reserve_stock_half_way(self, jobs):
        scarce = f"{jobs.sku}-B"
        jobs.stock.put(article(scarce, 1))
        id = fresh("half")
        input = jobs.order(id)
        input["lines"].append({"sku": scarce, "quantity": 2})
        hand_in(jobs, "http", id, input)
        assert jobs.ended(id)["error"]["type"] == "OutOfStock"
        assert jobs.stock.left(scarce) == 1
        assert_undone(jobs, id)

    def test_charge_payment_after_the_authorization(self, jobs):
        id = order_despite(jobs, "charge", fault="decline")
        assert jobs.ended(id)["error"]["type"] == "CardDeclined"
        assert jobs.booked(id) == ["authorization", "void"]
        assert_undone(jobs, id)

    def test_confirm_order(self, jobs):
        id = fresh("withdrawn")
        withdraw(jobs, id)
        hand_in(jobs, "http", id)
        assert jobs.ended(id)["error"]["type"] == "OrderWithdrawn"
        assert jobs.booked(id) == ["authorization", "charge", "refund"]
        assert_undone(jobs, id)

    def test_hand_over_order(self, jobs):
        id = fresh("torn")
        jobs.after("confirm_order", lambda: tear_out(jobs, id))
        hand_in(jobs, "http", id)
        done = jobs.ended(id)
        assert (done["status"], done["error"]["type"]) == ("Failed", "OrderMissing")
        assert jobs.booked(id) == ["authorization", "charge", "refund"]
        assert_undone(jobs, id)

    @pytest.mark.parametrize(("fault", "attempts"), [("decline", 1), ("error", 6)])
    def test_but_a_mail_that_fails_does_not(self, jobs, fault, attempts):
        id = fresh("unheard")
        jobs.sandbox.fault({"when": {"recipient": f"{id}@example.com"}, "fault": fault})
        hand_in(jobs, "http", id)
        jobs.shop.advance(minutes=10)
        done = jobs.ended(id)
        assert (done["status"], list(done["result"]["incomplete"])) == ("Completed", ["mail_confirmation"])
        assert jobs.runs()["mail_confirmation"] == attempts
        assert jobs.runs()["record_sale"] == 1
        assert jobs.booked(id) == ["authorization", "charge"]
        assert jobs.left() == PIECES - 1


def test_20_parallel_orders_for_10_pieces_sell_exactly_10(jobs):
    ids = [fresh("rush") for _ in range(20)]
    with ThreadPoolExecutor(len(ids)) as customers:
        answers = list(customers.map(jobs.submit, ids))
    assert {answer.status_code for answer in answers} == {202}
    jobs.shop.advance(minutes=10)
    ends = {id: jobs.ended(id) for id in ids}
    sold = {id for id, end in ends.items() if end["status"] == "Completed"}
    assert len(sold) == PIECES
    assert {end["error"]["type"] for id, end in ends.items() if id not in sold} == {"OutOfStock"}
    assert jobs.left() == 0
    assert jobs.balance() == PIECES * PRICE
    for id in ids:
        assert jobs.booked(id) == (["authorization", "charge"] if id in sold else [])
        assert len(jobs.mails(id)) == (id in sold)
