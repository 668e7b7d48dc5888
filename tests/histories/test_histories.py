"""What instances of the app did, it would do again: a change that breaks running instances fails here.

`python -m devhost replay tests/histories` says the same. After a change that is meant, and that keeps the old way for
running instances or needs none: `python -m tests.histories.record`.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from types import ModuleType

import pytest

from devhost.durable.history_check import Difference, Replayed, check
from devhost.durable.saved_history import SavedHistory
from devhost.durable.worker import HostWorker
from devhost.host import Host
from devhost.host_options import HostOptions
from devhost.invoker import Invoker
from tests.conftest import ROOT
from tests.histories.record import FOLDER
from tests.unit.orchestrators.engine import named

FILES = sorted(FOLDER.glob("*.json"))


class App:
    """The app, loaded as a host loads it, with nothing running."""

    def __init__(self, host: Host) -> None:
        self.worker = HostWorker(host)

    def replay(self, name: str) -> Replayed:
        history = SavedHistory.read(FOLDER / f"{name}.json")
        run = self.worker.run_orchestrator
        return asyncio.run(check(history, lambda name, payload, id: run(name, payload, id, True)))


@pytest.fixture(scope="module")
def app() -> Iterator[App]:
    host = Host(ROOT, HostOptions(use_local_settings=False))
    host.read_settings()
    host.load()
    host.invoker = Invoker(host)
    yield App(host)
    host.invoker.close()
    host.close()


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_app_does_again_what_it_did(app, file):
    found = app.replay(file.stem)
    assert found.difference is None, f"see what to do by: python -m devhost replay {file.relative_to(ROOT)}"
    assert not found.goes_on, "no running instance breaks: record it again, so that its last steps are replayed as well"


def test_every_orchestrator_has_a_history(app):
    assert {SavedHistory.read(file).orchestrator for file in FILES} == set(app.worker.orchestrators)


def test_histories_hold_nothing_sensitive():
    text = "".join(file.read_text() for file in FILES)
    assert "MUG" in text
    for secret in ("Lovelace", "Byron", "@example.com", "tok_visa", "St James", "1 St", "SharedAccess", "sig="):
        assert secret not in text


@pytest.fixture
def order(app) -> ModuleType:
    """The module of the order's orchestrator, to be changed."""
    return sys.modules["orchestrators.order"]


def test_a_renamed_activity_is_shown(app, order, monkeypatch):
    monkeypatch.setattr(order, "charge_payment", named("take_payment"))
    place, event = scheduled("order-sold", "charge_payment")
    expected = Difference(place, "activity 'charge_payment'", "activity 'take_payment'")
    assert app.replay("order-sold").difference == expected
    assert event["EventId"] == 1
    # Who was declined has not got to the next step.
    assert app.replay("order-declined").difference.decided == "activity 'take_payment'"


def test_a_reordered_step_is_shown(app, order, monkeypatch):
    reserve, charge = order.reserve_stock, order.charge_payment
    monkeypatch.setattr(order, "reserve_stock", charge)
    monkeypatch.setattr(order, "charge_payment", reserve)
    place, _ = scheduled("order-sold", "reserve_stock")
    expected = Difference(place, "activity 'reserve_stock'", "activity 'charge_payment'")
    assert app.replay("order-sold").difference == expected


def test_a_removed_step_is_shown(app, order, monkeypatch):
    do = order.Saga.do

    def do_all_but_one(saga, activity, *given, **more):
        if activity is order.confirm_order:
            return None
        return (yield from do(saga, activity, *given, **more))

    monkeypatch.setattr(order.Saga, "do", do_all_but_one)
    place, _ = scheduled("order-sold", "confirm_order")
    expected = Difference(place, "activity 'confirm_order'", "activity 'hand_over_order'")
    assert app.replay("order-sold").difference == expected
    assert app.replay("order-declined").difference is None


def test_a_pause_that_is_no_timer_any_more_is_shown(app, monkeypatch):
    def wait(context, length, cancel):
        yield context.wait_for_external_event("again")

    monkeypatch.setattr(sys.modules["jobs.retry"], "_pause", wait)
    found = app.replay("order-retried").difference
    assert (found.recorded, found.decided) == ("a timer", "nothing more, after a wait for the event 'again'")


def test_a_longer_pause_is_one_timer_more(app, monkeypatch):
    """Also this breaks what is running: who sleeps until a moment sleeps again when it has not come."""
    retry = sys.modules["jobs.retry"]
    pause = retry.RetryPolicy.pause
    monkeypatch.setattr(retry.RetryPolicy, "pause", lambda *given: 2 * pause(*given))
    assert app.replay("order-retried").difference.decided == "a timer"


def scheduled(name: str, activity: str) -> tuple[int, dict]:
    """The place, from 1, of the event that an activity was scheduled, and the event."""
    events = SavedHistory.read(FOLDER / f"{name}.json").events
    return next(
        (place, event) for place, event in enumerate(events, 1) if event["EventType"] == 4 and event["Name"] == activity
    )
