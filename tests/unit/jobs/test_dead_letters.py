"""What is no job is set aside, also when it is the first of many."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest

from jobs import dead_letters
from jobs.clients import clients
from jobs.errors import NotAJobError

pytestmark = pytest.mark.anyio


async def test_several_at_once_that_find_no_poison_queue_are_all_kept(storage):
    queue = f"fresh-{uuid4().hex}"
    bodies = [f"not a job {number}" for number in range(8)]
    await asyncio.gather(*(dead_letters.park(queue, body, body.encode(), NotAJobError("no job")) for body in bodies))
    poison = clients().queue(f"{queue}-poison")
    kept = [message.content async for message in poison.receive_messages(messages_per_page=32)]
    assert sorted(kept) == bodies
