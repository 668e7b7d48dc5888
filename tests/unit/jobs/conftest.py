"""Fixtures for tests of what jobs tell whom."""

from __future__ import annotations

import pytest

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
