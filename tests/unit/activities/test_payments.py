"""Payments against the sandbox: charged once, given back once, and clear about what is worth another try."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from activities import payments
from activities.gateway import CardDeclinedError, GatewayUnavailableError, PaymentRefusedError
from jobs.call import Call
from jobs.errors import SettingMissingError
from jobs.settings import settings
from tests.orders import order
from tests.unit.activities.calls import claimed

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("storage")]

AMOUNT = {"amount": 1999, "currency": "EUR"}


async def paying(input: dict | None = None) -> Call:
    return await claimed("charge_payment", order("c-1"), input or AMOUNT)


def kinds(world, call: Call) -> list[str]:
    return [entry["kind"] for entry in world.ledger(call.job.instance_id)["entries"]]


async def test_a_repeated_charge_is_one_charge(world):
    call = await paying()
    first = await payments.charge(call)
    assert await payments.charge(call) == first
    assert kinds(world, call) == ["authorization", "charge"]
    assert world.ledger(call.job.instance_id)["balance"] == 1999


async def test_a_lost_answer_is_found_again(world):
    call = await paying()
    world.fault({"when": {"operation": "charge"}, "fault": "drop_after", "times": 1})
    with pytest.raises(GatewayUnavailableError):
        await payments.charge(call)
    await payments.charge(call)
    assert kinds(world, call) == ["authorization", "charge"]


@pytest.mark.parametrize(
    ("fault", "error", "retry_after"),
    [
        ({"fault": "decline"}, CardDeclinedError, None),
        ({"fault": "throttle", "retryAfter": 7}, GatewayUnavailableError, 7),
        ({"fault": "error"}, GatewayUnavailableError, None),
        ({"fault": "drop_before"}, GatewayUnavailableError, None),
    ],
)
async def test_what_an_answer_means(world, fault, error, retry_after):
    world.fault(fault)
    with pytest.raises(error) as caught:
        await payments.charge(await paying())
    assert caught.value.retry_after == retry_after
    assert "tok_visa" not in str(caught.value)


async def test_a_refused_request_is_not_worth_another_try(world):
    with pytest.raises(PaymentRefusedError, match="400"):
        await payments.charge(await paying({"amount": 5, "currency": "USD"}))


async def test_a_slow_answer_is_waited_for_only_so_long(world, monkeypatch):
    hasty = replace(settings(), gateway_timeout=0.1)
    monkeypatch.setattr("jobs.http_service.settings", lambda: hasty)
    world.fault({"fault": "slow", "delay": 5})
    with pytest.raises(GatewayUnavailableError, match="TimeoutError"):
        await payments.charge(await paying())


async def test_a_missing_setting_is_named(monkeypatch, world):
    monkeypatch.delenv("PAYMENT_GATEWAY_URL")
    settings.cache_clear()
    with pytest.raises(SettingMissingError, match="PAYMENT_GATEWAY_URL"):
        await payments.charge(await paying())


async def test_a_refund_gives_back_once(world):
    call = await paying()
    await payments.charge(call)
    await asyncio.gather(*(payments.refund(call) for _ in range(3)))
    await payments.refund(call)
    assert kinds(world, call) == ["authorization", "charge", "refund"]
    assert world.ledger(call.job.instance_id)["balance"] == 0


async def test_a_refund_finds_a_charge_that_nobody_heard_of(world):
    call = await paying()
    world.fault({"when": {"operation": "charge"}, "fault": "drop_after"})
    with pytest.raises(GatewayUnavailableError):
        await payments.charge(call)
    await payments.refund(call)
    assert kinds(world, call) == ["authorization", "charge", "refund"]


async def test_without_a_charge_the_authorization_is_released(world):
    call = await paying()
    world.fault({"when": {"operation": "charge"}, "fault": "error"})
    with pytest.raises(GatewayUnavailableError):
        await payments.charge(call)
    await payments.refund(call)
    await payments.refund(call)
    assert kinds(world, call) == ["authorization", "void"]
    world.clear_faults()
    with pytest.raises(PaymentRefusedError, match="409"):
        await payments.charge(call)
    assert world.ledger(call.job.instance_id)["balance"] == 0


async def test_a_charge_that_slips_in_before_the_release_is_given_back(world, monkeypatch):
    call = await paying()
    world.fault({"when": {"operation": "charge"}, "fault": "drop_before", "times": 1})
    with pytest.raises(GatewayUnavailableError):
        await payments.charge(call)
    void = payments.gateway.void

    async def after_a_straggler(*arguments):
        await payments.charge(call)
        await void(*arguments)

    monkeypatch.setattr(payments.gateway, "void", after_a_straggler)
    await payments.refund(call)
    assert kinds(world, call) == ["authorization", "charge", "refund"]


async def test_nothing_booked_needs_nothing_undone(world):
    call = await paying()
    await payments.refund(call)
    assert kinds(world, call) == []


async def test_the_keys_and_the_correlation_id_travel(world):
    call = await paying()
    await payments.charge(call)
    keys = [request["key"] for request in world.requests(call.job.instance_id)["requests"]]
    assert keys == [f"{call.job.instance_id}/charge_payment/{step}" for step in ("authorize", "charge")]


@pytest.mark.parametrize(
    ("status", "error", "headers", "retry_after"),
    [
        (429, GatewayUnavailableError, {"Retry-After": "7"}, 7),
        (503, GatewayUnavailableError, {"Retry-After": "\u00b2"}, None),
        (402, CardDeclinedError, {}, None),
        (403, PaymentRefusedError, {}, None),
        (200, GatewayUnavailableError, {}, None),
    ],
)
async def test_an_answer_that_is_not_json_means_what_its_status_says(
    monkeypatch, world, status, error, headers, retry_after
):
    """So answer the proxies and firewalls in front of a gateway."""

    async def page(request):
        return web.Response(status=status, headers=headers, text="<html>no</html>", content_type="text/html")

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", page)
    async with TestServer(app) as server:
        monkeypatch.setenv("PAYMENT_GATEWAY_URL", str(server.make_url("")))
        settings.cache_clear()
        with pytest.raises(error) as caught:
            await payments.charge(await paying())
    assert getattr(caught.value, "retry_after", None) == retry_after
