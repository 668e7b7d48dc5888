"""Calls of activities, as a saga would make them."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from jobs import claim_check, ledger, strict_json
from jobs.call import Call
from jobs.ledger import JobRef


def call(step: str, input: dict[str, Any] | None = None, id: str | None = None, claim: str | None = None) -> Call:
    """A call for the order with that id, a new one unless given."""
    return Call(JobRef("order", id or uuid4().hex, "correlation-1", ledger.now(), claim), step, input or {})


async def claimed(step: str, job_input: dict[str, Any], input: dict[str, Any], id: str | None = None) -> Call:
    """The same for a job whose own input waits in a blob."""
    id = id or uuid4().hex
    claim = claim_check.name("order", id)
    await claim_check.write(claim, strict_json.canonical(job_input))
    return call(step, input, id, claim)
