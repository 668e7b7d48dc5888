"""The gateway's rules: what may be booked, what a key replays, and that the money always balances."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule

from sandbox.idempotency import RefusedError
from sandbox.models import Authorization, Charge, Refund, Void
from sandbox.payments import PaymentGateway


def authorization(amount: int = 1999, reference: str = "A-1", currency: str = "EUR") -> Authorization:
    return Authorization(reference=reference, customer="c-1", card="4242424242424242", amount=amount, currency=currency)


def charge(authorization_id: str, amount: int = 1999, reference: str = "A-1") -> Charge:
    return Charge(authorization=authorization_id, reference=reference, customer="c-1", amount=amount, currency="EUR")


@pytest.fixture
def gateway() -> PaymentGateway:
    return PaymentGateway()


def kinds(gateway: PaymentGateway) -> list[str]:
    return [entry["kind"] for entry in gateway.ledger()["entries"]]


def refused(act, status: int, code: str) -> None:
    with pytest.raises(RefusedError) as caught:
        act()
    assert (caught.value.status, caught.value.code) == (status, code)


def test_an_authorization_moves_no_money(gateway):
    answer = gateway.authorize("k1", authorization())
    assert answer.status == 201
    assert answer.body["status"] == "authorized"
    assert gateway.ledger()["balance"] == 0


def test_charge_and_refund_move_money(gateway):
    authorized = gateway.authorize("k1", authorization()).body["id"]
    charged = gateway.charge("k2", charge(authorized)).body["id"]
    assert gateway.ledger("A-1")["balance"] == 1999
    gateway.refund("k3", Refund(charge=charged, reference="A-1", amount=500))
    assert gateway.ledger("A-1")["balance"] == 1499
    assert gateway.ledger("A-2") == {"entries": [], "balance": 0, "currency": "EUR"}


def test_no_more_is_charged_than_was_authorized_over_all_charges(gateway):
    authorized = gateway.authorize("k1", authorization(1000)).body["id"]
    refused(lambda: gateway.charge("k2", charge(authorized, 1001)), 409, "amount_too_large")
    gateway.charge("k3", charge(authorized, 700))
    refused(lambda: gateway.charge("k4", charge(authorized, 301)), 409, "amount_too_large")
    assert gateway.ledger()["balance"] == 700


def test_no_more_is_refunded_than_was_charged_over_all_refunds(gateway):
    authorized = gateway.authorize("k1", authorization(1000)).body["id"]
    charged = gateway.charge("k2", charge(authorized, 1000)).body["id"]
    gateway.refund("k3", Refund(charge=charged, reference="A-1", amount=600))
    refused(lambda: gateway.refund("k4", Refund(charge=charged, reference="A-1", amount=401)), 409, "amount_too_large")
    assert gateway.ledger()["balance"] == 400


def test_a_charge_needs_an_authorization_of_the_same_order(gateway):
    authorized = gateway.authorize("k1", authorization()).body["id"]
    refused(lambda: gateway.charge("k2", charge(authorized, reference="A-2")), 409, "authorization_mismatch")
    refused(lambda: gateway.charge("k3", charge("authorization_none")), 404, "unknown_authorization")


def test_a_refund_needs_a_charge_of_the_same_order(gateway):
    authorized = gateway.authorize("k1", authorization()).body["id"]
    charged = gateway.charge("k2", charge(authorized)).body["id"]
    refused(lambda: gateway.refund("k3", Refund(charge=charged, reference="A-2", amount=1)), 409, "charge_mismatch")
    refused(lambda: gateway.refund("k4", Refund(charge=authorized, reference="A-1", amount=1)), 404, "unknown_charge")


def test_a_void_releases_once_whatever_the_key(gateway):
    authorized = gateway.authorize("k1", authorization()).body["id"]
    first = gateway.void("k2", Void(authorization=authorized))
    assert gateway.void("k3", Void(authorization=authorized)) == first
    assert kinds(gateway) == ["authorization", "void"]
    refused(lambda: gateway.charge("k4", charge(authorized)), 409, "authorization_voided")


def test_a_charged_authorization_cannot_be_voided(gateway):
    authorized = gateway.authorize("k1", authorization()).body["id"]
    gateway.charge("k2", charge(authorized))
    refused(lambda: gateway.void("k3", Void(authorization=authorized)), 409, "already_charged")


def test_a_repeated_key_gets_the_first_answer_and_books_nothing(gateway):
    first = gateway.authorize("k1", authorization())
    assert gateway.authorize("k1", authorization()) == first
    assert kinds(gateway) == ["authorization"]


def test_a_key_is_not_taken_for_another_request(gateway):
    authorized = gateway.authorize("k1", authorization()).body["id"]
    refused(lambda: gateway.authorize("k1", authorization(2000)), 422, "key_reused")
    refused(lambda: gateway.charge("k1", charge(authorized)), 422, "key_reused")


def test_a_refusal_leaves_its_key_free(gateway):
    authorized = gateway.authorize("k1", authorization(1000)).body["id"]
    refused(lambda: gateway.charge("k2", charge(authorized, 1001)), 409, "amount_too_large")
    assert gateway.charge("k2", charge(authorized, 1000)).status == 201


def test_only_the_currency_of_the_account_is_taken(gateway):
    refused(lambda: gateway.authorize("k1", authorization(currency="USD")), 400, "currency_not_supported")


def test_the_ledger_does_not_know_the_card(gateway):
    gateway.authorize("k1", authorization())
    assert "4242424242424242" not in repr(gateway)


AMOUNTS = st.integers(1, 5000)


class LedgerMachine(RuleBasedStateMachine):
    """Any order of requests, refused ones and repeated ones too, against a model that only adds and subtracts."""

    authorizations = Bundle("authorizations")
    charges = Bundle("charges")
    booked = Bundle("booked")

    def __init__(self) -> None:
        super().__init__()
        self.gateway = PaymentGateway()
        self.keys = 0
        self.promised: dict[str, int] = {}
        self.refundable: dict[str, int] = {}
        self.untouched: set[str] = set()
        self.balance = 0
        self.entries = 0

    def _key(self) -> str:
        self.keys += 1
        return f"k{self.keys}"

    @rule(targets=[authorizations, booked], amount=AMOUNTS)
    def authorize(self, amount):
        key, request = self._key(), authorization(amount)
        answer = self.gateway.authorize(key, request)
        self.promised[answer.body["id"]] = amount
        self.untouched.add(answer.body["id"])
        self.entries += 1
        return answer.body["id"], (self.gateway.authorize, key, request, answer)

    @rule(targets=[charges, booked], authorized=authorizations, amount=AMOUNTS)
    def charge(self, authorized, amount):
        key, request = self._key(), charge(authorized[0], amount)
        if amount > self.promised[authorized[0]]:
            with pytest.raises(RefusedError):
                self.gateway.charge(key, request)
            return multiple()
        answer = self.gateway.charge(key, request)
        self.promised[authorized[0]] -= amount
        self.untouched.discard(authorized[0])
        self.refundable[answer.body["id"]] = amount
        self.balance += amount
        self.entries += 1
        return answer.body["id"], (self.gateway.charge, key, request, answer)

    @rule(target=booked, charged=charges, amount=AMOUNTS)
    def refund(self, charged, amount):
        key, request = self._key(), Refund(charge=charged[0], reference="A-1", amount=amount)
        if amount > self.refundable.get(charged[0], 0):
            with pytest.raises(RefusedError):
                self.gateway.refund(key, request)
            return multiple()
        answer = self.gateway.refund(key, request)
        self.refundable[charged[0]] -= amount
        self.balance -= amount
        self.entries += 1
        return None, (self.gateway.refund, key, request, answer)

    @rule(target=booked, authorized=consumes(authorizations))
    def void(self, authorized):
        key, request = self._key(), Void(authorization=authorized[0])
        if authorized[0] not in self.untouched:
            with pytest.raises(RefusedError):
                self.gateway.void(key, request)
            return multiple()
        answer = self.gateway.void(key, request)
        self.promised[authorized[0]] = 0
        self.entries += 1
        return None, (self.gateway.void, key, request, answer)

    @rule(earlier=booked)
    def replay(self, earlier):
        _, (act, key, request, answer) = earlier
        assert act(key, request) == answer

    @rule(earlier=booked, amount=AMOUNTS)
    def take_a_used_key(self, earlier, amount):
        _, (_, key, request, _) = earlier
        other = authorization(amount, reference="another")
        if other != request:
            with pytest.raises(RefusedError) as caught:
                self.gateway.authorize(key, other)
            assert caught.value.status == 422

    @invariant()
    def money_balances(self):
        ledger = self.gateway.ledger()
        assert ledger["balance"] == self.balance >= 0
        assert len(ledger["entries"]) == self.entries


LedgerMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestLedger = LedgerMachine.TestCase
