"""Levels by category, and what the console prints."""

from __future__ import annotations

import io
import logging
import re

import pytest

from devhost import logs
from devhost.context import THREAD_STORAGE


@pytest.mark.parametrize(
    ("configured", "verbose", "category", "level"),
    [
        ({}, False, "Host.http", logging.WARNING),
        ({}, True, "Host.http", logging.INFO),
        ({"default": "Information"}, False, "Host.http", logging.INFO),
        ({"default": "Information"}, False, "Host.azure.servicebus", logging.WARNING),
        ({"default": "Information"}, True, "Host.azure.servicebus", logging.INFO),
        ({}, False, "Function.x", logging.INFO),
        ({}, False, "Function.x.User", logging.INFO),
        ({"default": "Error"}, False, "Host.http", logging.ERROR),
        ({"default": "Error"}, False, "Function.x", logging.ERROR),
        ({"Function.x": "Error"}, False, "Function.x.User", logging.ERROR),
        ({"Function.x": "Error", "Function.x.User": "Debug"}, False, "Function.x.User", logging.DEBUG),
        ({"function": "None"}, False, "Function.x", logging.CRITICAL + 10),
        ({"Function": "nonsense"}, False, "Function.x", logging.INFO),
    ],
)
def test_the_longest_prefix_decides(configured, verbose, category, level):
    assert logs.Levels(configured, verbose=verbose).of(category) == level


@pytest.fixture
def console(tmp_path):
    """A console for an app in tmp_path, and what it has printed."""
    stream = io.StringIO()
    return logs.Console(logs.Levels({}), tmp_path, stream), stream


def record(name, level, text, path="/lib/x.py", **more):
    return logging.LogRecord(name, level, path, 1, text, (), more.get("exc_info"))


def test_a_line_has_a_utc_prefix(console):
    handler, stream = console
    handler.emit(record("Function.x", logging.INFO, "Executing"))
    assert re.fullmatch(r"\[\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\] Executing\n", stream.getvalue())


def test_hosts_own_information_is_hidden_its_warnings_are_not(console):
    handler, stream = console
    handler.emit(record("devhost.http", logging.INFO, "hidden"))
    handler.emit(record("devhost.http", logging.WARNING, "shown"))
    assert "hidden" not in stream.getvalue() and "shown" in stream.getvalue()


def test_a_library_speaks_for_the_function_it_works_for(console):
    handler, stream = console
    handler.emit(record("azure.core", logging.INFO, "for devhost"))
    logs.invocation_started("id", "x")
    token = logs.invocation_id.set("id")
    handler.emit(record("azure.core", logging.INFO, "for the function"))
    logs.invocation_id.reset(token)
    THREAD_STORAGE.invocation_id = "id"
    handler.emit(record("azure.core", logging.INFO, "for its thread"))
    logs.invocation_ended("id")
    handler.emit(record("azure.core", logging.INFO, "after its end"))
    del THREAD_STORAGE.invocation_id
    assert re.findall(r"\] (.*)\n", stream.getvalue()) == ["for the function", "for its thread"]


def test_the_apps_own_modules_speak_for_themselves_outside_invocations(console, tmp_path):
    handler, stream = console
    handler.emit(record("root", logging.INFO, "app", path=str(tmp_path / "function_app.py")))
    handler.emit(record("lib", logging.INFO, "venv", path=str(tmp_path / ".venv/lib/site-packages/lib.py")))
    assert re.findall(r"\] (.*)\n", stream.getvalue()) == ["app"]


def test_exceptions_are_printed_below(console):
    handler, stream = console
    try:
        raise ValueError("inner")
    except ValueError as error:
        handler.emit(record("Function.x", logging.ERROR, "outer", exc_info=(type(error), error, error.__traceback__)))
    assert "outer\nTraceback" in stream.getvalue() and stream.getvalue().endswith("ValueError: inner\n")
