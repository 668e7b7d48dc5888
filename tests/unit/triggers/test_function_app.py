"""What the host finds when it loads the app."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from jobs.clients import QUEUES
from jobs.inputs import PRINTABLE
from tests.unit.triggers.doors import functions

ROOT = Path(__file__).parents[3]
JOBS = {"submit_job", "get_job", "list_jobs", "cancel_job", "list_schedules", "run_schedule", "list_queues"}
APPROVALS = {"list_approvals", "decide_approval"}
OPEN = {"health", "openapi", "dashboard", "show_approval", "vote_by_link", "take_carrier_webhook"}
"""What says nothing of any job, or is signed."""


def bindings(type: str) -> dict[str, dict]:
    found = {}
    for name, function in functions().items():
        for binding in function.get_bindings_dict()["bindings"]:
            if binding["type"] == type:
                found[name] = binding
    return found


def test_every_door_is_there():
    http = bindings("httpTrigger")
    routes = {name: (each["route"], [str(method) for method in each["methods"]]) for name, each in http.items()}
    assert routes == {
        "submit_job": ("jobs/{kind}", ["POST"]),
        "get_job": ("jobs/{kind}/{id}", ["GET"]),
        "list_jobs": ("jobs", ["GET"]),
        "cancel_job": ("jobs/{kind}/{id}/cancel", ["POST"]),
        "list_dead_letters": ("dead-letters", ["GET"]),
        "get_dead_letter": ("dead-letters/{id}", ["GET"]),
        "replay_dead_letter": ("dead-letters/{id}/replay", ["POST"]),
        "discard_dead_letter": ("dead-letters/{id}", ["DELETE"]),
        "show_approval": ("approvals/{token}", ["GET", "HEAD"]),
        "vote_by_link": ("approvals/{token}", ["POST"]),
        "list_approvals": ("approvals", ["GET"]),
        "decide_approval": ("approvals/{id}/decision", ["POST"]),
        "list_schedules": ("schedules", ["GET"]),
        "run_schedule": ("schedules/{name}/run", ["POST"]),
        "list_queues": ("queues", ["GET"]),
        "take_carrier_webhook": ("webhooks/carrier", ["POST"]),
        "dashboard": ("dashboard", ["GET"]),
        "health": ("health", ["GET"]),
        "openapi": ("openapi.json", ["GET"]),
    }


def test_each_door_asks_for_its_key():
    levels = {name: str(binding["authLevel"]).upper() for name, binding in bindings("httpTrigger").items()}
    assert {name for name, level in levels.items() if level == "ANONYMOUS"} == OPEN
    assert {level for name, level in levels.items() if name in JOBS | APPROVALS} == {"FUNCTION"}
    rest = levels.keys() - JOBS - APPROVALS - OPEN
    assert {levels[name] for name in rest} == {"ADMIN"} and all("dead_letter" in name for name in rest)


def test_each_queue_that_is_provided_is_listened_to():
    assert sorted(binding["queueName"] for binding in bindings("queueTrigger").values()) == sorted(QUEUES)


def test_the_deployed_app_imports_nothing_that_stays_at_home():
    at_home = ("devhost", "sandbox", "tests", "demo", "bench")
    for folder in ("jobs", "activities", "orchestrators", "triggers"):
        for path in (ROOT / folder).rglob("*.py"):
            for line in path.read_text().splitlines():
                words = line.split()
                if words[:1] in (["import"], ["from"]):
                    assert words[1].split(".")[0] not in at_home, f"{path}: {line}"
    ignored = (ROOT / ".funcignore").read_text().splitlines()
    assert all(f"{name}/" in ignored for name in at_home)


def test_doors_reach_no_store_themselves():
    stores = re.compile(r"^\s*(?:from|import) (azure\.(?:data|storage|servicebus)\S*)", re.MULTILINE)
    found = {path.name: stores.findall(path.read_text()) for path in (ROOT / "triggers").glob("*.py")}
    assert {name: modules for name, modules in found.items() if modules} == {}


def test_the_queues_take_plain_text():
    assert json.loads((ROOT / "host.json").read_text())["extensions"]["queues"]["messageEncoding"] == "none"


@pytest.mark.parametrize("text", ["\x00", "a\nb", "\x7f"])
def test_the_pattern_for_text_refuses_control_characters(text):
    assert not re.fullmatch(PRINTABLE, text)
