"""The sandbox from outside, over HTTP and SMTP: statuses, faults on the wire, and what can be read afterwards."""

from __future__ import annotations

import asyncio
import smtplib
from collections.abc import Iterator
from email.message import EmailMessage

import httpx
import pytest

from sandbox import Sandbox
from sandbox.service import PortTakenError

AUTHORIZATION = {
    "reference": "A-1",
    "customer": "c-1",
    "card": "4242424242424242",
    "amount": 1999,
    "currency": "EUR",
}


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def http(sandbox: Sandbox) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=sandbox.url) as client:
        yield client


def post(http: httpx.Client, path: str, body: object, key: str = "k", **headers: str) -> httpx.Response:
    return http.post(path, json=body, headers={"Idempotency-Key": key, **headers})


def authorize(http: httpx.Client, key: str = "authorize", **headers: str) -> httpx.Response:
    return post(http, "/payments/authorizations", AUTHORIZATION, key, **headers)


def charge(http: httpx.Client, authorization: str, key: str = "charge", **headers: str) -> httpx.Response:
    body = {name: value for name, value in AUTHORIZATION.items() if name != "card"}
    return post(http, "/payments/charges", {**body, "authorization": authorization}, key, **headers)


def send_mail(
    sandbox: Sandbox,
    to: str = "ada@example.com",
    message_id: str = "<1@shop>",
    text: str = "Thanks\n",
    correlation_id: str | None = None,
) -> None:
    message = EmailMessage()
    message["From"] = "shop@example.com"
    message["To"] = to
    message["Subject"] = "Your order: größer"
    message["Message-ID"] = message_id
    if correlation_id:
        message["X-Correlation-ID"] = correlation_id
    message.set_content(text)
    with smtplib.SMTP(sandbox.smtp_host, sandbox.smtp_port, timeout=100) as smtp:
        smtp.send_message(message)


def test_an_order_is_paid_and_given_back(http):
    authorized = authorize(http)
    assert (authorized.status_code, authorized.json()["status"]) == (201, "authorized")
    charged = charge(http, authorized.json()["id"])
    assert (charged.status_code, charged.json()["status"], charged.json()["amount"]) == (201, "charged", 1999)
    refund = {"charge": charged.json()["id"], "reference": "A-1", "amount": 1999}
    assert post(http, "/payments/refunds", refund, "refund").json()["status"] == "refunded"
    assert post(http, "/payments/refunds", refund, "refund again").status_code == 409

    ledger = http.get("/payments/ledger", params={"reference": "A-1"}).json()
    assert [entry["kind"] for entry in ledger["entries"]] == ["authorization", "charge", "refund"]
    assert [entry["key"] for entry in ledger["entries"]] == ["authorize", "charge", "refund"]
    assert (ledger["balance"], ledger["currency"]) == (0, "EUR")
    assert set(ledger["entries"][0]) == {"id", "kind", "reference", "customer", "amount", "currency", "key", "at"}


def test_void_is_idempotent(http):
    path = f"/payments/authorizations/{authorize(http).json()['id']}/void"
    first = http.post(path, headers={"Idempotency-Key": "void"})
    assert (first.status_code, first.json()["status"]) == (200, "voided")
    assert http.post(path, headers={"Idempotency-Key": "void"}).json() == first.json()
    assert [entry["kind"] for entry in http.get("/payments/ledger").json()["entries"]] == ["authorization", "void"]


@pytest.mark.parametrize(
    "change",
    [{"amount": 0}, {"amount": -1}, {"amount": 19.99}, {"amount": "1999"}, {"amount": True}, {"currency": "euro"},
     {"currency": "USD"}, {"reference": ""}, {"customer": None}, {"colour": "red"}],
)  # fmt: skip
def test_bad_input_is_400_and_books_nothing(http, change):
    answer = post(http, "/payments/authorizations", {**AUTHORIZATION, **change})
    assert answer.status_code == 400
    assert set(answer.json()) == {"code", "message"}
    assert AUTHORIZATION["card"] not in answer.text
    assert http.get("/payments/ledger").json()["entries"] == []


def test_what_is_not_json_is_400(http):
    answer = http.post("/payments/charges", content=b"\xff{", headers={"Idempotency-Key": "k"})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")


def test_a_post_without_key_is_400(http):
    answer = http.post("/payments/authorizations", json=AUTHORIZATION)
    assert (answer.status_code, answer.json()["code"]) == (400, "key_missing")


def test_a_used_key_with_another_body_is_422(http):
    authorize(http, "k")
    assert post(http, "/payments/authorizations", {**AUTHORIZATION, "amount": 1}, "k").status_code == 422


@pytest.mark.parametrize(("fault", "status"), [("decline", 402), ("throttle", 429), ("error", 500)])
def test_a_fault_that_answers_books_nothing_and_passes(http, sandbox, fault, status):
    sandbox.fault({"when": {"customer": "c-1"}, "fault": fault, "times": 1, "retryAfter": 3})
    answer = authorize(http)
    assert answer.status_code == status
    assert answer.headers.get("Retry-After") == ("3" if fault == "throttle" else None)
    assert sandbox.ledger()["entries"] == []
    assert authorize(http).status_code == 201
    assert [(seen["status"], seen["fault"]) for seen in sandbox.requests("A-1")["requests"]] == [
        (status, fault),
        (201, None),
    ]


def test_drop_before_closes_the_connection_and_books_nothing(http, sandbox):
    sandbox.fault({"when": {"operation": "authorize"}, "fault": "drop_before", "times": 1})
    with pytest.raises(httpx.TransportError):
        authorize(http)
    assert sandbox.ledger()["entries"] == []
    assert authorize(http).status_code == 201


def test_drop_after_books_and_the_retry_gets_the_first_answer(http, sandbox):
    authorized = authorize(http).json()["id"]
    sandbox.fault({"when": {"operation": "charge"}, "fault": "drop_after", "times": 2})
    for _ in range(2):
        with pytest.raises(httpx.TransportError):
            charge(http, authorized)
    booked = sandbox.ledger("A-1")["entries"][-1]
    answer = charge(http, authorized)
    assert (answer.status_code, answer.json()["id"]) == (201, booked["id"])
    assert sandbox.ledger()["balance"] == 1999
    seen = [request["status"] for request in sandbox.requests()["requests"] if request["operation"] == "charge"]
    assert seen == [None, None, 201]


def test_slow_books_at_once_and_answers_later(sandbox):
    sandbox.fault({"fault": "slow", "delay": 0.5, "times": 1})
    with httpx.Client(base_url=sandbox.url, timeout=0.1) as impatient, pytest.raises(httpx.ReadTimeout):
        authorize(impatient)
    assert len(sandbox.ledger()["entries"]) == 1
    with httpx.Client(base_url=sandbox.url) as patient:
        assert authorize(patient).json()["id"] == sandbox.ledger()["entries"][0]["id"]


@pytest.mark.anyio
async def test_concurrent_requests_with_one_key_book_once(sandbox):
    sandbox.fault({"fault": "slow", "delay": 0.05, "times": 5})
    async with httpx.AsyncClient(base_url=sandbox.url, headers={"Idempotency-Key": "k"}) as http:
        answers = await asyncio.gather(*(http.post("/payments/authorizations", json=AUTHORIZATION) for _ in range(20)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert len(sandbox.ledger()["entries"]) == 1


def test_a_refund_fault_finds_the_customer_through_the_charge(http, sandbox):
    charged = charge(http, authorize(http).json()["id"]).json()["id"]
    sandbox.fault({"when": {"operation": "refund", "customer": "c-1"}, "fault": "error"})
    refund = {"charge": charged, "reference": "A-1", "amount": 1999}
    assert [post(http, "/payments/refunds", refund).status_code for _ in range(3)] == [500] * 3
    assert sandbox.ledger()["balance"] == 1999


def test_a_fault_in_a_header_hits_that_request_only(http):
    assert authorize(http, **{"X-Sandbox-Fault": "decline"}).json()["code"] == "card_declined"
    assert authorize(http).status_code == 201
    assert authorize(http, **{"X-Sandbox-Fault": "explode"}).status_code == 400


def test_faults_are_ordered_listed_and_cleared_over_http(http):
    ordered = http.post("/faults", json={"when": {"operation": "authorize"}, "fault": "error"})
    assert ordered.status_code == 201
    assert [fault["id"] for fault in http.get("/faults").json()["faults"]] == [ordered.json()["id"]]
    assert authorize(http).status_code == 500
    assert http.delete("/faults").status_code == 204
    assert authorize(http).status_code == 201
    assert http.post("/faults", json={"fault": "explode"}).status_code == 400


def test_delete_state_forgets_everything(http, sandbox):
    authorize(http)
    send_mail(sandbox)
    sandbox.fault({"fault": "error"})
    assert http.delete("/state").status_code == 204
    assert sandbox.ledger()["entries"] == []
    assert sandbox.requests()["requests"] == []
    assert sandbox.mailbox()["messages"] == []
    assert authorize(http).status_code == 201


def test_unknown_paths_answer_json(http):
    assert http.get("/health").status_code == 200
    assert http.get("/nothing").json()["code"] == "http_error"
    assert http.put("/payments/charges").status_code == 405


def test_mail_arrives(http, sandbox):
    send_mail(sandbox, to="Ada@Example.com", text="Grüße\n")
    (message,) = http.get("/mailbox", params={"to": "ada@example.com"}).json()["messages"]
    assert message["messageId"] == "<1@shop>"
    assert (message["from"], message["to"]) == ("shop@example.com", "Ada@Example.com")
    assert (message["subject"], message["text"].strip()) == ("Your order: größer", "Grüße")
    assert sandbox.mailbox("bob@example.com") == {"messages": [], "duplicates": 0}
    assert http.delete("/mailbox").status_code == 204
    assert sandbox.mailbox()["messages"] == []


def test_requests_and_mails_show_their_correlation_ids(http, sandbox):
    authorize(http, "with", **{"X-Correlation-ID": "c-42"})
    authorize(http, "without")
    assert [seen["correlationId"] for seen in sandbox.requests("A-1")["requests"]] == ["c-42", None]
    send_mail(sandbox, message_id="<with@shop>", correlation_id="c-42")
    send_mail(sandbox, message_id="<without@shop>")
    assert [message["correlationId"] for message in sandbox.mailbox()["messages"]] == ["c-42", None]


def test_a_message_id_is_kept_once(sandbox):
    for message_id in ("<1@shop>", "<2@shop>", "<1@shop>", "<1@shop>"):
        send_mail(sandbox, message_id=message_id)
    box = sandbox.mailbox("ada@example.com")
    assert [message["messageId"] for message in box["messages"]] == ["<1@shop>", "<2@shop>"]
    assert box["duplicates"] == 2


@pytest.mark.parametrize(("fault", "code"), [("error", 451), ("throttle", 450), ("decline", 550)])
def test_mail_faults_answer_as_smtp_does(sandbox, fault, code):
    sandbox.fault({"when": {"operation": "mail", "recipient": "ada@example.com"}, "fault": fault, "times": 1})
    with pytest.raises(smtplib.SMTPResponseException) as caught:
        send_mail(sandbox)
    assert caught.value.smtp_code == code
    assert sandbox.mailbox()["messages"] == []
    send_mail(sandbox)
    assert len(sandbox.mailbox()["messages"]) == 1


@pytest.mark.parametrize(("fault", "kept"), [("drop_before", 0), ("drop_after", 1)])
def test_mail_connection_dropped(sandbox, fault, kept):
    sandbox.fault({"when": {"operation": "mail"}, "fault": fault, "times": 1})
    with pytest.raises((smtplib.SMTPServerDisconnected, ConnectionError)):
        send_mail(sandbox)
    assert len(sandbox.mailbox()["messages"]) == kept
    send_mail(sandbox)
    assert sandbox.mailbox()["duplicates"] == kept


def test_a_taken_port_is_named(sandbox):
    port = int(sandbox.url.rsplit(":", 1)[1])
    with pytest.raises(PortTakenError, match=f"HTTP port {port} .*--port"), Sandbox(port=port):
        pass
    with pytest.raises(PortTakenError, match=f"SMTP port {sandbox.smtp_port} .*--smtp-port"):
        Sandbox(smtp_port=sandbox.smtp_port).__enter__()
