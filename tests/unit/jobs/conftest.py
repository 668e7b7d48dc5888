"""Fixtures for tests of jobs: what time it is, and whom they tell what."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from jobs import clock
from jobs.settings import settings
from tests.unit.jobs.delivering import World, settings_for
from tests.unit.jobs.receivers import receiving


@pytest.fixture
async def receiver():
    async with receiving() as found:
        yield found


@pytest.fixture
def configured(bus, receiver, monkeypatch):
    for name, value in settings_for(receiver).items():
        monkeypatch.setenv(name, value)
    settings.cache_clear()
    yield
    settings.cache_clear()


@pytest.fixture
def delivering(bus, receiver, durable, monkeypatch) -> World:
    return World(bus, receiver, durable, monkeypatch)


class Time:
    """What the app takes for the present moment: at first the BEGINNING of the test's module."""

    def __init__(self, beginning: datetime) -> None:
        self.now = self._beginning = beginning

    def after(self, seconds: float) -> None:
        """So long after the beginning."""
        self.now = self._beginning + timedelta(seconds=seconds)


@pytest.fixture
def time(request, monkeypatch) -> Time:
    time = Time(request.module.BEGINNING)
    monkeypatch.setattr(clock, "now", lambda: time.now)
    return time
