"""`devhost tick`, of which the real host has nothing: a timer runs when asked for, for the occurrence that is named."""

from __future__ import annotations

import sys
from zoneinfo import ZoneInfo

import pytest

from devhost.cli import main
from tests.conformance.apps import serve

BERLIN = ZoneInfo("Europe/Berlin")

APP = """
seen = []

@app.timer_trigger(arg_name="t", schedule="0 0 0 29 2 *")
def leap(t: func.TimerRequest):
    seen.append((t.schedule_status["Next"], t.past_due))
    if "2027" in t.schedule_status["Next"]:
        raise ValueError("no leap year")

@app.timer_trigger(arg_name="t", schedule="*/30 * * * * *")
def often(t: func.TimerRequest):
    seen.append((t.schedule_status["Next"], t.past_due))

@app.route()
def web(req) -> str:
    return "x"
"""


@pytest.fixture
def host(devhost_host, tmp_path, azurite):
    settings = {"AzureWebJobsStorage": azurite.connection_string, "TZ": "Europe/Berlin"}
    return serve(devhost_host, tmp_path, APP, settings=settings)


def tick(host, *arguments):
    return main(["tick", *arguments, "--port", str(host.port)])


def test_a_timer_runs_for_the_occurrence_that_is_named(host, capsys):
    assert tick(host, "leap", "--at", "2028-02-28T23:00:00Z") == 0
    assert tick(host, "OFTEN", "--at", "2026-07-01T12:00:00+00:00") == 0
    assert capsys.readouterr().out == "leap: Succeeded\nOFTEN: Succeeded\n"
    expected = [("2028-02-29T00:00:00+01:00", False), ("2026-07-01T14:00:00+02:00", False)]
    assert sys.modules["function_app"].seen == expected


def test_without_a_moment_it_is_now(host):
    assert tick(host, "leap") == 0
    [(moment, _)] = sys.modules["function_app"].seen
    assert moment[:10] == host.app.clock.now().astimezone(BERLIN).date().isoformat()


def test_a_failure_is_shown_and_is_exit_code_1(host, capsys):
    assert tick(host, "leap", "--at", "2027-03-01T00:00:00+01:00") == 1
    assert capsys.readouterr().out == "leap: Failed: ValueError: no leap year\n"


def test_a_moment_out_of_range_is_said(host, capsys):
    assert tick(host, "leap", "--at", "9999-12-31T23:59:59-14:00") == 1
    assert "The host answered 400: The time '9999-12-31T23:59:59-14:00' is out of range." in capsys.readouterr().err


def test_it_leaves_the_status_of_the_timer_alone(host):
    before = host.post("/admin/functions/leap", json={"input": ""})
    assert tick(host, "leap", "--at", "2040-02-29T00:00:00+01:00") == 0
    host.post("/admin/functions/leap", json={"input": ""})
    host.drain()
    assert before.status_code == 202
    (first, *_), (named, *_), (last, *_) = sys.modules["function_app"].seen
    assert named.startswith("2040") and first == last


@pytest.mark.parametrize(
    ("name", "message"), [("web", "'web' is not a timer."), ("nightly", "has no function 'nightly'.")]
)
def test_what_is_no_timer_is_said_with_those_that_are(host, name, message, capsys):
    assert tick(host, name) == 1
    said = capsys.readouterr().err
    assert message in said and "Its timers are: leap, often." in said


def test_a_host_that_asks_for_keys_is_given_its_master_key(devhost_host, tmp_path, azurite, capsys):
    settings = {"AzureWebJobsStorage": azurite.connection_string}
    host = serve(devhost_host, tmp_path, APP, settings=settings, options={"enable_auth": True})
    assert tick(host, "often") == 1
    assert "Pass its master key with --key." in capsys.readouterr().err
    assert tick(host, "often", "--key", host.app.keys.master) == 0


def test_the_list_at_the_start_says_when_a_timer_fires_next(host):
    from devhost.banner import function_list

    assert "\tleap: timerTrigger  0 0 0 29 2 * (next: 2028-02-29 00:00:00+01:00)\n" in function_list(host.app)
