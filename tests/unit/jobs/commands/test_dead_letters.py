"""`dead-letters`: which letters are shown, put back and thrown away, and how that ends."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from jobs import dead_letters, replay
from jobs.commands.program import main
from jobs.errors import LetterNotFoundError, ReplayRefusedError, ServiceBusUnavailableError
from jobs.letters import DeadLetter, Letter
from jobs.replay import Outcome
from jobs.settings import settings

SECRET = "a wholly private matter"
FIRST, SECOND, MAIL = "poison-jobs-1", "poison-jobs-2", "jobs-3"


class Box:
    """Stands in for the dead-letter queues: three letters, and what was asked for."""

    def __init__(self) -> None:
        self.letters = {
            FIRST: self._letter(FIRST, "NotAJob", b"no job"),
            SECOND: self._letter(SECOND, "NotAJob", b"no job either"),
            MAIL: self._letter(MAIL, "InvalidInput", json.dumps({"to": SECRET}).encode(), kind="mail", job_id="M-1"),
        }
        self.filters: list[dict[str, Any]] = []
        self.rates: list[float | None] = []

    def _letter(self, id: str, reason: str, body: bytes, **about: str) -> DeadLetter:
        queue, _, number = id.rpartition("-")
        letter = Letter(source="storage:jobs", message_id="m", reason=reason, description="it is wrong", **about)
        return DeadLetter(id, queue, int(number), letter, "2026-11-22T10:00:00.000000Z", content=body)

    async def find(self, *, reason=None, kind=None, older_than=None, limit=None):
        self.filters.append({"reason": reason, "kind": kind, "older_than": older_than, "limit": limit})
        for each in list(self.letters.values())[:limit]:
            if reason in (None, each.letter.reason) and kind in (None, each.letter.kind):
                yield each

    async def get(self, id: str) -> DeadLetter:
        if id not in self.letters:
            raise LetterNotFoundError(f"there is no dead letter {id}")
        return self.letters[id]

    async def replay(self, ids, *, rate=None):
        self.rates.append(rate)
        for id in ids:
            yield self._take(id, "storage:jobs")

    async def discard(self, ids):
        for id in ids:
            yield self._take(id, None)

    def _take(self, id: str, where: str | None) -> Outcome:
        if self.letters.pop(id, None):
            return Outcome(id, where)
        return Outcome(id, error=LetterNotFoundError(f"there is no dead letter {id}"))


@pytest.fixture(autouse=True)
def box(monkeypatch, tmp_path) -> Iterator[Box]:
    box = Box()
    monkeypatch.setattr(dead_letters, "find", box.find)
    monkeypatch.setattr(dead_letters, "get", box.get)
    monkeypatch.setattr(replay, "replay", box.replay)
    monkeypatch.setattr(replay, "discard", box.discard)
    monkeypatch.chdir(tmp_path)
    yield box
    settings.cache_clear()


def ran(capsys, *arguments: str):
    """The exit code, what was printed (parsed if it is JSON), and stderr."""
    code = main(["dead-letters", *arguments])
    printed = capsys.readouterr()
    return code, json.loads(printed.out) if "--json" in arguments else printed.out, printed.err


def test_filters_choose(box, capsys):
    code, found, _ = ran(capsys, "list", "--json")
    assert (code, found) == (0, [letter.to_dict() for letter in box.letters.values()])
    found = ran(capsys, "list", "--reason", "NotAJob", "--older-than", "2h", "--limit", "1", "--json")[1]
    assert [letter["id"] for letter in found] == [FIRST]
    nothing = {"reason": None, "kind": None, "older_than": None, "limit": None}
    chosen = {"reason": "NotAJob", "kind": None, "older_than": timedelta(hours=2), "limit": 1}
    assert box.filters == [nothing, chosen]


@pytest.mark.parametrize("arguments", [["list", "--json"], ["discard", "--all"]])
def test_whoever_reads_may_have_enough(monkeypatch, capfd, arguments):
    """As `| head` has."""
    reads, writes = os.pipe()
    os.close(reads)
    with open(writes, "w") as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        assert main(["dead-letters", *arguments]) == 1
    assert capfd.readouterr().err == ""


def test_the_table_says_why_and_what_but_nothing_private(capsys):
    code, out, err = ran(capsys, "list")
    assert (code, err) == (0, "")
    for said in (FIRST, SECOND, MAIL, "NotAJob", "InvalidInput", "storage:jobs", "mail/M-1"):
        assert said in out
    assert SECRET not in out


def test_one_is_shown_and_its_body_only_on_demand(capsys):
    code, out, _ = ran(capsys, "show", MAIL)
    assert code == 0 and "InvalidInput" in out and SECRET not in out
    code, shown, _ = ran(capsys, "show", MAIL, "--json")
    assert (code, shown["id"], shown["jobId"], SECRET in json.dumps(shown)) == (0, MAIL, "M-1", False)
    code, shown, _ = ran(capsys, "show", MAIL, "--body", "--json")
    assert (code, json.loads(shown["body"])) == (0, {"to": SECRET})


def test_the_body_is_printed_byte_by_byte(capfdbinary):
    assert main(["dead-letters", "show", FIRST, "--body"]) == 0
    assert capfdbinary.readouterr().out == b"no job"


def test_one_that_is_not_there(capsys):
    code, out, err = ran(capsys, "show", "jobs-9")
    assert (code, out, err) == (1, "", "error: there is no dead letter jobs-9\n")


def test_replay_puts_back_and_says_where(box, capsys):
    code, out, err = ran(capsys, "replay", "--reason", "NotAJob", "--rate", "2.5")
    lines = [f"{FIRST} replayed to storage:jobs", f"{SECOND} replayed to storage:jobs", "2 of 2 replayed"]
    assert (code, out.splitlines(), err) == (0, lines, "")
    assert (list(box.letters), box.rates) == ([MAIL], [2.5])


def test_discard_throws_away(box, capsys):
    code, outcomes, _ = ran(capsys, "discard", MAIL, FIRST, "--json")
    assert (code, outcomes) == (0, [{"id": MAIL, "done": True}, {"id": FIRST, "done": True}])
    code, outcomes, _ = ran(capsys, "discard", "--all", "--json")
    assert (code, outcomes, box.letters) == (0, [{"id": SECOND, "done": True}], {})
    assert ran(capsys, "discard", "--all") == (0, "0 of 0 discarded\n", "")


@pytest.mark.parametrize("verb", ["replay", "discard"])
def test_a_dry_run_only_lists(box, capsys, verb):
    assert [each["id"] for each in ran(capsys, verb, "--kind", "mail", "--dry-run", "--json")[1]] == [MAIL]
    code, out, _ = ran(capsys, verb, SECOND, FIRST, "--dry-run")
    assert code == 0 and FIRST in out and SECOND in out and MAIL not in out
    assert ran(capsys, verb, "jobs-9", "--dry-run")[0] == 1
    assert len(box.letters) == 3


def test_one_that_fails_does_not_keep_the_others(box, capsys):
    code, out, _ = ran(capsys, "replay", FIRST, "jobs-9", SECOND)
    assert (code, out.splitlines()) == (
        1,
        [
            f"{FIRST} replayed to storage:jobs",
            "jobs-9 not replayed: there is no dead letter jobs-9",
            f"{SECOND} replayed to storage:jobs",
            "2 of 3 replayed",
        ],
    )


@pytest.mark.parametrize("options", [["--json"], []])
def test_what_was_done_is_told_when_the_bus_goes_away(capsys, monkeypatch, options):
    async def interrupted(ids, *, rate=None):
        yield Outcome("poison-jobs-1", "storage:jobs")
        yield Outcome("poison-jobs-2", error=ReplayRefusedError("it was replayed twice"))
        raise ServiceBusUnavailableError("the bus is gone")

    monkeypatch.setattr(replay, "replay", interrupted)
    code, out, err = ran(capsys, "replay", "poison-jobs-1", "poison-jobs-2", "poison-jobs-3", *options)
    assert (code, err) == (1, "error: the bus is gone\n")
    if options:
        assert [each["done"] for each in out] == [True, False]
        assert out[1]["error"]["type"] == "ReplayRefused"
    else:
        assert "poison-jobs-2 not replayed: it was replayed twice" in out and out.endswith("1 of 3 replayed\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "--all"),
        (["--limit", "3"], "--all"),
        (["poison-jobs-1", "--all"], "not both"),
        (["poison-jobs-1", "--reason", "NotAJob"], "not both"),
        (["--older-than", "long"], "7d"),
        (["--all", "--limit", "0"], "from 1"),
    ],
)
@pytest.mark.parametrize("verb", ["replay", "discard"])
def test_which_ones_must_be_said_in_one_way(capsys, verb, arguments, said):
    with pytest.raises(SystemExit) as ended:
        main(["dead-letters", verb, *arguments])
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("rate", ["0", "-1", "fast", "1e9"])
def test_a_rate_is_a_number_above_nothing(capsys, rate):
    with pytest.raises(SystemExit) as ended:
        main(["dead-letters", "replay", "--all", f"--rate={rate}"])
    assert ended.value.code == 2 and "above 0" in capsys.readouterr().err


def test_a_bus_that_is_not_there_is_named(capsys, monkeypatch, tmp_path):
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AzureWebJobsServiceBus", raising=False)
    settings.cache_clear()
    code, out, err = ran(capsys, "list")
    assert (code, out, err.count("\n")) == (1, "", 1) and "AzureWebJobsServiceBus" in err
