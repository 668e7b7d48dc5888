"""Functions that several tests orchestrate."""

from __future__ import annotations

import azure.durable_functions as df

from devhost.durable.hub import EventType


def hello(name: str) -> str:
    return f"Hello {name}!"


def nothing(value: object) -> None:
    return None


def boom(value: object) -> None:
    raise ValueError("boom")


def chain(context: df.DurableOrchestrationContext):
    first = yield context.call_activity("hello", "Ada")
    second = yield context.call_activity("HELLO", "Bob")
    return [first, second]


def kinds(history: list[dict]) -> list[str]:
    return [EventType(event["EventType"]).name for event in history]
