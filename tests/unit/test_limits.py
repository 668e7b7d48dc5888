"""Limits of the services (docs/limits.md): the app keeps within them, or says no before they do."""

from __future__ import annotations

import json
from uuid import uuid4

import pytest

from jobs import intake
from jobs.catalog import KINDS
from jobs.claim_check import LARGEST_INLINE_INPUT
from jobs.clients import clients
from jobs.commands.program import main
from jobs.inputs import LONGEST_ID
from jobs.job import Envelope, parse
from jobs.settings import settings

QUEUE_MESSAGE = 64 * 1024
INSTANCE_ID = 256
"""Characters (durable.md §8)."""


@pytest.mark.anyio
async def test_the_largest_input_that_travels_fits_into_a_queue_message(storage, durable):
    text = "\N{GRINNING FACE}" * 145
    input = {"event": "seen", "properties": {f"p{number:02}".ljust(64, "x"): text for number in range(50)}}
    envelope = Envelope(kind="analytics", id=uuid4().hex.ljust(LONGEST_ID, "i"), input=input, correlationId="c" * 128)
    job = parse(envelope)
    assert job.claim is None and len(job.content) > LARGEST_INLINE_INPUT - 1024
    queue = clients().queue("jobs-urgent")
    await queue.clear_messages()
    await intake.submit(parse(envelope.model_copy(update={"priority": "urgent"})), durable)
    [message] = [each async for each in queue.receive_messages()]
    # Another host.json may have the host's default, which is base64.
    assert len(message.content.encode()) * 4 / 3 < QUEUE_MESSAGE
    await queue.clear_messages()


def test_what_the_bus_cannot_take_is_refused_with_the_way_round(
    azurite, service_bus, impatience, monkeypatch, tmp_path, capsys
):
    monkeypatch.setenv("AzureWebJobsServiceBus", service_bus.connection_string)
    settings.cache_clear()
    (tmp_path / "input.json").write_text(json.dumps({"event": "x" * 300_000}))
    assert main(["send", "analytics", str(tmp_path / "input.json"), "--bus"]) == 1
    assert "put more into a blob" in capsys.readouterr().err
    settings.cache_clear()


def test_the_longest_instance_id_is_allowed():
    longest = max(KINDS, key=len)
    assert len(f"{longest}-{'i' * LONGEST_ID}~2~decision") <= INSTANCE_ID
