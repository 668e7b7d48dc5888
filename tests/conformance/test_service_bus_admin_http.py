"""The administration port past the client: health, bodies that are no descriptions, what other SDKs send."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import Iterator
from urllib.parse import quote_plus

import httpx
import pytest

from devhost.servicebus.in_process import InProcessServiceBus

CONNECT = "http://schemas.microsoft.com/netservices/2010/10/servicebus/connect"


@pytest.fixture(scope="module")
def bus() -> Iterator[InProcessServiceBus]:
    with InProcessServiceBus() as running:
        yield running


@pytest.fixture
def http(bus) -> Iterator[httpx.Client]:
    """Signed for the namespace, as the client does it."""
    resource, expiry = quote_plus(bus.admin_url.replace("http:", "https:")), int(time.time()) + 600
    digest = hmac.digest(b"SAS_KEY_VALUE", f"{resource}\n{expiry}".encode(), hashlib.sha256)
    signature = quote_plus(base64.b64encode(digest))
    token = f"SharedAccessSignature sr={resource}&sig={signature}&se={expiry}&skn=RootManageSharedAccessKey"
    with httpx.Client(base_url=bus.admin_url, headers={"Authorization": token}) as client:
        yield client


def entry(description: str) -> str:
    return f'<entry xmlns="http://www.w3.org/2005/Atom"><content type="application/xml">{description}</content></entry>'


def test_health_is_the_official_emulator_s(bus):
    answer = httpx.get(f"{bus.admin_url}/health")
    assert answer.status_code == 200
    assert answer.json()["status"] == "healthy"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "is no XML"),
        (b"{}", "is no XML"),
        (b"<!DOCTYPE x [<!ENTITY a 'aaaa'>]><entry>&a;</entry>", "document type"),
        (b"<entry/>", "no Atom entry"),
    ],
)
def test_a_body_that_is_no_description_is_refused(http, body, reason):
    answer = http.put("/q", content=body)
    assert answer.status_code == 400
    assert reason in answer.text


def test_a_body_that_is_too_large_is_refused(http):
    assert http.put("/q", content=b"x" * (2 << 20)).status_code == 413


def test_a_subscription_may_come_with_its_first_rule(bus, http):
    """As the .NET client sends it."""
    rule = (
        '<DefaultRuleDescription xmlns:i="http://www.w3.org/2001/XMLSchema-instance"><Filter i:type="SqlFilter">'
        "<SqlExpression>n = 1</SqlExpression></Filter><Name>first</Name></DefaultRuleDescription>"
    )
    for path, description in (
        ("t", f'<TopicDescription xmlns="{CONNECT}"/>'),
        ("t/Subscriptions/s", f'<SubscriptionDescription xmlns="{CONNECT}">{rule}</SubscriptionDescription>'),
    ):
        answer = http.put(f"/{path}", content=entry(description))
        assert answer.status_code == 201, answer.text
    (found,) = bus.call(lambda broker: broker.rules("t", "s"))
    assert (found.name, found.filter.expression) == ("first", "n = 1")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 400),
        ("POST", "/q", 400),
        ("PUT", "/$Resources/queues", 400),
        ("GET", "/$Resources/queues?$skip=x", 400),
        ("GET", "/$Resources/queues?$top=-1", 400),
        ("GET", "/nothing/subscriptions/s/actions", 404),
        ("GET", "/nothing", 404),
    ],
)
def test_what_is_not_in_the_api_is_an_error_in_its_form(http, method, path, status):
    answer = http.request(method, path)
    assert answer.status_code == status
    assert f"<Error><Code>{status}</Code><Detail>" in answer.text


def test_a_value_that_cannot_be_read_is_named(http):
    for element, reason in (
        ("<LockDuration>soon</LockDuration>", "LockDuration cannot be used: 'soon' is no ISO 8601 duration"),
        ("<LockDuration>P10675199DT2H48M5.4775807S</LockDuration>", "LockDuration cannot be used: it cannot be"),
        ("<RequiresSession>perhaps</RequiresSession>", "RequiresSession cannot be used"),
        ("<MaxDeliveryCount>many</MaxDeliveryCount>", "MaxDeliveryCount cannot be used"),
        ("<Status>Tired</Status>", "is not known; it is one of Active"),
    ):
        answer = http.put("/q", content=entry(f'<QueueDescription xmlns="{CONNECT}">{element}</QueueDescription>'))
        assert answer.status_code == 400
        assert reason in answer.text


def test_without_a_token_there_is_only_health(bus):
    assert httpx.get(f"{bus.admin_url}/$namespaceinfo").status_code == 401
