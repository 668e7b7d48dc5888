"""Front and workers apart: HTTP is answered while nobody works, and whoever comes later does what has waited."""

from __future__ import annotations

import sys

import pytest

from devhost.clock import VirtualClock
from tests.conftest import ROOT
from tests.integration.jobs_seen import fresh

FRONT = ("submit_job", "get_job")
ELSEWHERE = (*FRONT, "watchdog", "take_photo", "take_order_import")


@pytest.fixture
def start(open_shop, devhost_host, shop_settings, tmp_path):
    """Starts hosts of the app that share a clock and a task hub; the last to stop lets go of their connections."""
    together = {"clock": VirtualClock(), "task_hub": tmp_path / "hub.sqlite3"}
    hosts = []

    def start(without=(), **options):
        _forget_settings()
        settings = {**shop_settings, **{f"AzureWebJobs.{name}.Disabled": "1" for name in without}}
        hosts.append(devhost_host(ROOT, settings=settings, **together, **options))
        return hosts[-1]

    yield start
    for host in hosts:
        host.call(host.app.pause)
    hosts[-1].call(_close, sys.modules["jobs.clients"])
    for host in hosts:
        host.stop()
    _forget_settings()


def _forget_settings() -> None:
    if "jobs.settings" in sys.modules:
        sys.modules["jobs.settings"].settings.cache_clear()


async def _close(clients) -> None:
    await clients.clients().close()


def test_a_front_without_workers_answers_and_workers_do_what_has_waited(start, jobs_of, provide):
    front = start(functions=list(FRONT))
    front.call(provide, sys.modules["jobs.clients"])
    jobs = jobs_of(front)
    inputs = {"order": None, "analytics": {"event": "seen"}}
    ids = {kind: fresh("front") for kind in inputs}
    answers = [jobs.submit(ids[kind], input, kind=kind) for kind, input in inputs.items()]
    assert [answer.status_code for answer in answers] == [202, 202]
    front.drain()
    assert {jobs.status(ids[kind], kind)["status"] for kind in inputs} == {"Pending"}

    workers = start(without=ELSEWHERE)
    workers.drain()
    assert {jobs.ended(ids[kind], kind)["status"] for kind in inputs} == {"Completed"}
    assert {record.function for record in front.invocations} == set(FRONT)
    assert {"order", "take_job", "end_job"} <= {record.function for record in workers.invocations}
