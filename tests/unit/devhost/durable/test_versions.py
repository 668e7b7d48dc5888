"""Orchestration versions: which instances a host takes (durable.md §7)."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from devhost.clock import VirtualClock
from devhost.durable.client import DurableClient
from devhost.durable.hub import RuntimeStatus
from devhost.durable.options import DurableOptions
from devhost.durable.versions import is_match
from tests.unit.devhost.durable.workbench import Bench, SdkWorker

OPTIONS = DurableOptions.read({})


@pytest.mark.parametrize(
    ("strategy", "version", "matches"),
    [
        ("none", "9", True),
        ("strict", "2.0", True),
        ("strict", "2", True),
        ("strict", "2.0.1", False),
        ("strict", "", False),
        ("currentorolder", "1.10", True),
        ("currentorolder", "", True),
        ("currentorolder", "2.1", False),
        ("currentorolder", "10", False),
    ],
)
def test_versions_compare_as_dotted_numbers(strategy: str, version: str, matches: bool) -> None:
    options = replace(OPTIONS, default_version="2.0", version_match=strategy)
    assert is_match(version, options) is matches


@pytest.mark.parametrize(("version", "matches"), [("Beta", True), ("beta", True), ("alpha", True), ("gamma", False)])
def test_other_versions_compare_as_text_without_regard_to_case(version: str, matches: bool) -> None:
    options = replace(OPTIONS, default_version="beta", version_match="currentorolder")
    assert is_match(version, options) is matches


@pytest.mark.anyio
async def test_a_rejected_instance_runs_on_the_host_that_takes_it(tmp_path: Path) -> None:
    def orchestrator(context):
        return context.version
        yield

    path, clock = tmp_path / "hub.sqlite3", VirtualClock()
    old, new = (SdkWorker(orchestrator) for _ in range(2))
    async with Bench(path, old, clock, default_version="1.0", version_match="strict") as first:
        client = DurableClient(first.hub, clock, first.options)
        instance_id = await client.start("orchestrator", None, None, "2.0")
        for _ in range(50):
            await asyncio.sleep(0.001)
        assert (await first.view(instance_id)).instance.status == RuntimeStatus.PENDING
        async with Bench(path, new, clock, default_version="2.0", version_match="strict") as second:
            await second.drain()
            assert await second.output(instance_id) == "2.0"
    assert (len(old.payloads), len(new.payloads)) == (0, 1)
