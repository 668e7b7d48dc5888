"""Health: whether the app can reach what it needs, by name. The first call also creates what storage lacks."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import azure.durable_functions as df
import azure.functions as func
from azure.core.exceptions import AzureError

from jobs import alerts
from jobs.clients import CONTAINERS, QUEUES, TABLES, clients
from jobs.errors import JobError
from jobs.links import links
from jobs.settings import settings
from triggers.answers import answer_json, answering

blueprint = df.Blueprint()

PATIENCE = 5.0
"""Seconds that a service has to answer."""


@blueprint.route(route="health", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
@answering
async def health(req: func.HttpRequest) -> func.HttpResponse:
    """Without storage no job is accepted: 503. Without anything else some jobs wait: 200, degraded; as with alerts."""
    await _check(clients().provide)
    needed = {f"table {name}": _table(name) for name in TABLES}
    needed |= {f"container {name}": _container(name) for name in CONTAINERS}
    needed |= {f"queue {name}": _queue(name) for name in QUEUES}
    used = {
        "payment gateway": _service("payment_gateway_url"),
        "mail server": _mail_server,
        "service bus": _service_bus,
    }
    if settings().carrier_url:
        used["carrier"] = _service("carrier_url")
    checks = needed | used
    found = dict(zip(checks, await asyncio.gather(*map(_check, checks.values())), strict=True))
    missing = [name for name in needed if not found[name]["ok"]]
    degraded = [name for name in used if not found[name]["ok"]]
    active = [] if missing else [alert.key for alert in await alerts.active()]
    body: dict[str, Any] = {"status": "unavailable" if missing else "degraded" if degraded or active else "ok"}
    body |= {"missing": missing + degraded, "alerts": active, "checks": found}
    return answer_json(body, 503 if missing else 200, {"Cache-Control": "no-store"})


async def _check(check: Callable[[], Awaitable[dict[str, Any] | None]]) -> dict[str, Any]:
    """What one service answers: `ok`, and either its figures or the `problem`."""
    try:
        async with asyncio.timeout(PATIENCE):
            return {"ok": True} | (await check() or {})
    except JobError as error:
        return {"ok": False, "problem": str(error)}
    except TimeoutError:
        return {"ok": False, "problem": f"no answer within {PATIENCE:.0f} s"}
    except (AzureError, aiohttp.ClientError, OSError) as error:
        reason = getattr(error, "error_code", None) or type(error).__name__
        return {"ok": False, "problem": f"{reason}: is it running? On your own machine `make run` starts all of them"}


def _table(name: str) -> Callable[[], Awaitable[None]]:
    async def check() -> None:
        async for _ in clients().table(name).query_entities("PartitionKey eq ''", results_per_page=1):
            break

    return check


def _container(name: str) -> Callable[[], Awaitable[None]]:
    async def check() -> None:
        await clients().container(name).get_container_properties()

    return check


def _queue(name: str) -> Callable[[], Awaitable[dict[str, int]]]:
    async def check() -> dict[str, int]:
        properties = await clients().queue(name).get_queue_properties()
        return {"messages": properties.approximate_message_count}

    return check


def _service(url: str) -> Callable[[], Awaitable[None]]:
    """`url`: the setting, as an attribute of Settings."""

    async def check() -> None:
        async with clients().http.get(settings().required(url), allow_redirects=False):
            # Any answer will do: it is there.
            return

    return check


async def _service_bus() -> None:
    # Whether it listens: to open a link takes half a second, and to ask for health should be cheap.
    _, writer = await asyncio.open_connection(*settings().service_bus_address())
    writer.close()
    # Unless it did not let the app in the last time: then it is worth that.
    if failed := links().failed:
        await links().open(failed)


async def _mail_server() -> None:
    _, writer = await asyncio.open_connection(settings().required("smtp_host"), settings().smtp_port)
    writer.close()
