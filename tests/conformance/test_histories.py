"""`devhost history` and `devhost replay`, of which the real host has nothing: changed code is found before it runs."""

from __future__ import annotations

import json

import pytest

from devhost.cli import main
from devhost.histories import save
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


ALL_KINDS = """
from datetime import timedelta

tries = []

@app.orchestration_trigger(context_name="context")
def trip(context):
    visit = context.get_input() or 0
    retry = df.RetryOptions(first_retry_interval_in_milliseconds=1000, max_number_of_attempts=3)
    both = [context.call_activity_with_retry("flaky", retry, n) for n in range(2)]
    yield context.task_all(both)
    counter = df.EntityId("counter", "c")
    context.signal_entity(counter, "add", 1)
    yield context.call_entity(counter, "add", 1)
    home = context.wait_for_external_event("home")
    late = context.create_timer(context.current_utc_datetime + timedelta(days=10))
    if (yield context.task_any([home, late])) is late:
        context.continue_as_new(visit + 1)
        return
    late.cancel()
    try:
        yield context.call_activity("broken", 1)
    except Exception:
        yield context.call_sub_orchestrator_with_retry("fails", retry)

@app.orchestration_trigger(context_name="context")
def fails(context):
    yield context.call_activity("broken", 1)

@app.entity_trigger(context_name="context")
def counter(context):
    context.set_state(context.get_state(lambda: 0) + context.get_input())
    context.set_result(1)

@app.activity_trigger(input_name="n")
def flaky(n: int) -> int:
    tries.append(n)
    if tries.count(n) == 1:
        raise ValueError("once")
    return n

@app.activity_trigger(input_name="n")
def broken(n: int) -> int:
    raise ValueError("always")

@app.route()
@app.durable_client_input(client_name="client")
async def travel(req: func.HttpRequest, client) -> func.HttpResponse:
    return client.create_check_status_response(req, await client.start_new("trip", "trip-1"))
"""


def test_every_kind_of_task_is_replayed(devhost_host, tmp_path, capsys):
    options = {"task_hub": tmp_path / "hub.sqlite3"}
    host = serve(devhost_host, tmp_path / "app", ALL_KINDS, head=DURABLE_APP, options=options)
    urls = host.post("/api/travel").json()
    folder = tmp_path / "histories"
    folder.mkdir()

    def keep(instance: str, name: str) -> None:
        (folder / f"{name}.json").write_text(save(host.app.task_hub, instance))

    host.advance(days=4)
    keep("trip-1", "first")
    host.advance(days=7)
    keep("trip-1", "second")
    host.post(urls["sendEventPostUri"].replace("{eventName}", "home"), json=1)
    host.advance(minutes=1)
    keep("trip-1", "ended")
    host.stop()
    app = ["--script-root", str(tmp_path / "app")]
    assert main(["replay", *app, str(folder)]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3
    fewer = ALL_KINDS.replace('    yield context.call_entity(counter, "add", 1)\n', "")
    changed = write_app(tmp_path / "changed", fewer, head=DURABLE_APP)
    assert main(["replay", "--script-root", str(changed), str(folder / "ended.json")]) == 1
    said = capsys.readouterr().out
    assert "recorded: a message to the entity @counter@c\n  decided:  a timer\n" in said
