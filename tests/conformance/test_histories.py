"""`devhost history` and `devhost replay`, of which the real host has nothing: changed code is found before it runs."""

from __future__ import annotations

import json

import pytest

from devhost.cli import main
from tests.conformance.apps import DURABLE_APP, serve, write_app

ORCHESTRATOR = """
from datetime import timedelta

@app.orchestration_trigger(context_name="context")
def trip(context):
    flight = yield context.call_activity("book_flight", context.get_input())
    hotel = yield context.call_activity("book_hotel", flight)
    yield context.create_timer(context.current_utc_datetime + timedelta(hours=1))
    yield context.call_sub_orchestrator("pay", hotel)
    yield context.wait_for_external_event("home")
    return "home"
"""
REST = """
@app.orchestration_trigger(context_name="context")
def pay(context):
    return context.get_input()

@app.activity_trigger(input_name="what")
def book_flight(what: str) -> str:
    return what

@app.activity_trigger(input_name="what")
def book_hotel(what: str) -> str:
    return what

@app.route()
@app.durable_client_input(client_name="client")
async def travel(req: func.HttpRequest, client) -> func.HttpResponse:
    id = await client.start_new("trip", "trip-1", {"to": "Oslo"})
    return client.create_check_status_response(req, id)
"""


@pytest.fixture
def travelled(devhost_host, tmp_path):
    """A trip that waits to end, its host, and a function that saves its history."""
    hub = tmp_path / "hub.sqlite3"
    options = {"task_hub": hub}
    host = serve(devhost_host, tmp_path / "app", ORCHESTRATOR + REST, head=DURABLE_APP, options=options)
    urls = host.post("/api/travel").json()
    host.advance(hours=2)

    def save(name: str = "trip.json"):
        assert main(["history", "trip-1", "--task-hub", str(hub)]) == 0
        return name

    return host, urls, save


@pytest.fixture
def saved(travelled, tmp_path, capsys):
    """Files of the trip before and after its end."""
    host, urls, save = travelled
    files = []
    for name in ("waiting.json", "ended.json"):
        save()
        files.append(tmp_path / "histories" / name)
        files[-1].parent.mkdir(exist_ok=True)
        files[-1].write_text(capsys.readouterr().out)
        host.post(urls["sendEventPostUri"].replace("{eventName}", "home"), json=1)
        host.drain()
    host.stop()
    return files


def replay(tmp_path, source: str, *names, **changes) -> int:
    """Replay with an app whose source was changed."""
    app = write_app(tmp_path / "changed", source + REST, head=DURABLE_APP)
    return main(["replay", "--script-root", str(app), *map(str, names)])


def test_unchanged_code_does_again_what_was_recorded(saved, tmp_path, capsys):
    waiting, ended = saved
    assert replay(tmp_path, ORCHESTRATOR, tmp_path / "histories") == 0
    said = capsys.readouterr().out.splitlines()
    assert [line.partition(": ")[0] for line in said] == [str(ended), str(waiting)]
    assert all(": trip trip-1: " in line and line.endswith(" events: as recorded") for line in said)
    events = json.loads(waiting.read_text())["history"]
    assert f"{len(events)} events" in said[1]


CHANGES = {
    "renamed activity": ('"book_hotel"', '"book_room"', "activity 'book_hotel'", "activity 'book_room'"),
    "other order": (
        'call_activity("book_flight", context.get_input())',
        'call_activity("book_hotel", context.get_input())',
        "activity 'book_flight'",
        "activity 'book_hotel'",
    ),
    "removed step": (
        '    hotel = yield context.call_activity("book_hotel", flight)\n',
        "    hotel = flight\n",
        "activity 'book_hotel'",
        "a timer",
    ),
    "added step": (
        '    hotel = yield context.call_activity("book_hotel", flight)\n',
        '    yield context.call_activity("book_seat", flight)\n    hotel = flight\n',
        "activity 'book_hotel'",
        "activity 'book_seat'",
    ),
    "timer that is a wait": (
        "create_timer(context.current_utc_datetime + timedelta(hours=1))",
        'wait_for_external_event("later")',
        "a timer",
        "nothing more, after a wait for the event 'later'",
    ),
    "timer that is an activity": (
        "create_timer(context.current_utc_datetime + timedelta(hours=1))",
        'call_activity("sleep")',
        "a timer",
        "activity 'sleep'",
    ),
    "renamed sub-orchestration": ('"pay"', '"settle"', "sub-orchestration 'pay'", "sub-orchestration 'settle'"),
    "early end": (
        '    yield context.call_sub_orchestrator("pay", hotel)\n',
        "    return 1\n",
        "sub-orchestration 'pay'",
        "the end",
    ),
    "removed wait": (
        '    yield context.wait_for_external_event("home")\n',
        "",
        "more than that: a wait, too",
        "the end",
    ),
    "an error": (
        '    yield context.call_sub_orchestrator("pay", hotel)\n',
        "    raise ValueError('no money')\n",
        "sub-orchestration 'pay'",
        "an error: no money",
    ),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_the_first_difference_is_shown(saved, tmp_path, capsys, change):
    old, new, recorded, decided = change
    assert old in ORCHESTRATOR
    for file in saved:
        assert replay(tmp_path, ORCHESTRATOR.replace(old, new), file) == 1
        heading, *said = capsys.readouterr().out.splitlines()
        assert said[:2] == [f"  recorded: {recorded}", f"  decided:  {decided}"]
        assert "context.version" in said[2]
        event = int(heading.rpartition("event ")[2].partition(" ")[0])
        shown = json.loads(file.read_text())["history"][event - 1]
        assert shown.get("Name", "") in recorded and shown["EventType"] in (4, 7, 10, 13)


def test_what_is_added_where_no_instance_has_got_to_breaks_none(saved, tmp_path, capsys):
    added = ORCHESTRATOR.replace('    return "home"\n', '    yield context.call_activity("book_hotel", 1)\n')
    assert replay(tmp_path, added, *saved) == 0
    waiting, ended = capsys.readouterr().out.splitlines()
    assert waiting.endswith("as recorded") and "goes on where the recording ended" in ended


def test_code_that_fails_where_the_recorded_ended_is_a_difference(saved, tmp_path, capsys):
    failing = ORCHESTRATOR.replace('    return "home"\n', "    raise ValueError('lost')\n")
    assert replay(tmp_path, failing, saved[1]) == 1
    assert "recorded: the end, Completed\n  decided:  an error: lost" in capsys.readouterr().out


def test_a_history_without_devhosts_own_counts_is_replayed_as_well(saved, tmp_path, capsys):
    for file in saved:
        document = json.loads(file.read_text())
        for event in document["history"]:
            event.pop("ActionCount", None)
        file.write_text(json.dumps(document))
    assert replay(tmp_path, ORCHESTRATOR, *saved) == 0
    assert replay(tmp_path, ORCHESTRATOR.replace('"book_hotel"', '"book_flight"'), saved[0]) == 1


def test_an_orchestrator_that_is_gone_is_named_with_those_that_are_there(saved, tmp_path, capsys):
    assert replay(tmp_path, ORCHESTRATOR.replace("def trip(", "def journey("), saved[0]) == 1
    said = capsys.readouterr().err
    assert "no orchestrator 'trip'" in said and "It has: journey, pay." in said


@pytest.mark.parametrize("text", [None, "", "[]", "{}", '{"instance": "a", "history": []}', '{"history": [1]}'])
def test_files_that_hold_no_history(tmp_path, capsys, text):
    file = tmp_path / "strange.json"
    if text is not None:
        file.write_text(text)
    assert replay(tmp_path, ORCHESTRATOR, file) == 1
    assert "strange.json" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert replay(tmp_path, ORCHESTRATOR, tmp_path / "empty") == 1


def test_instances_and_task_hubs_that_are_not_there(travelled, tmp_path, capsys):
    assert main(["history", "trip-2", "--task-hub", str(tmp_path / "hub.sqlite3")]) == 1
    assert "no instance trip-2" in capsys.readouterr().err
    app = write_app(tmp_path / "unstarted", REST, head=DURABLE_APP)
    assert main(["history", "trip-1", "--script-root", str(app)]) == 1
    assert "TestHubName.sqlite3 cannot be read" in capsys.readouterr().err
    assert not (app / ".devhost").exists()
