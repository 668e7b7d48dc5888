"""The wait for a person, step by step: who is asked when, what an event changes, and what a failure does not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from orchestrators.decision import Vigil
from tests.unit.orchestrators.engine import Engine

pytestmark = pytest.mark.anyio

START = datetime(2026, 1, 1, tzinfo=UTC)
DECIDED = {"decision": "approved", "by": "Grace", "at": "now", "via": "api", "reason": None}
WALK = ["ask_approver", "remind_approver"] * 2


class Wait(Engine):
    """One wait, of two rounds of three days. `answers`: what activities return, by their steps; else no decision."""

    def __init__(self, answers: dict[str, Any], events: dict[str, str] | None = None) -> None:
        def at(**span: float) -> str:
            return (START + timedelta(**span)).isoformat()

        rounds = [{"remindAt": at(days=1), "endsAt": at(days=3)}, {"remindAt": at(days=4), "endsAt": at(days=6)}]
        self._answers = answers
        names = (*WALK[:2], "check_vote", "decide_by_default")
        given = {"job": {}, "input": {"wake": "decided.0", "rounds": rounds}, "deadline": at(days=9)}
        super().__init__(lambda context: Vigil(context).keep(), given, dict.fromkeys(names, self._answer))
        self.events = events or {}

    async def _answer(self, arguments: dict[str, Any]) -> dict[str, Any]:
        answer = self._answers.get(arguments["step"], {"decision": None})
        return answer if "error" in answer else {"ok": answer}

    @property
    def steps(self) -> list[str]:
        return [arguments["step"] for _, arguments in self.calls]


def error(*, retryable: bool) -> dict[str, Any]:
    return {"error": {"type": "MailRefused", "message": "no", "retryable": retryable}}


async def test_when_nobody_answers_the_default_does():
    wait = await Wait({"decide_by_default": {"decision": DECIDED}}).run("order-1~decision")
    assert wait.steps == [
        "ask_approver.0",
        "remind_approver.0",
        "ask_approver.1",
        "remind_approver.1",
        "decide_by_default",
    ]
    assert [round(pause / 86_400) for pause in wait.pauses] == [1, 2, 1, 2]
    assert wait.output == DECIDED


async def test_an_event_calls_to_look_and_the_timer_is_let_go_of():
    wait = Wait({"check_vote.decided.0": {"decision": DECIDED}}, {"timer": "decided.0"})
    await wait.run("order-1~decision")
    assert (wait.steps, wait.output) == (["ask_approver.0", "check_vote.decided.0"], DECIDED)
    assert len(wait.cancelled_timers) == 1


async def test_after_a_false_alarm_another_name_is_waited_for():
    answers = {
        "check_vote.decided.0": {"decision": None, "wake": "decided.1"},
        "decide_by_default": {"decision": DECIDED},
    }
    wait = await Wait(answers, {"ask_approver": "decided.0", "check_vote": "decided.0"}).run("order-1~decision")
    assert wait.steps.count("check_vote.decided.0") == 1
    assert [name for name, _ in wait.calls] == ["ask_approver", "check_vote", *WALK[1:], "decide_by_default"]


async def test_a_vote_that_nobody_told_of_is_found_by_whatever_comes_next():
    wait = await Wait({"remind_approver.0": {"decision": DECIDED}}).run("order-1~decision")
    assert (wait.steps, wait.output) == (["ask_approver.0", "remind_approver.0"], DECIDED)


@pytest.mark.parametrize("retryable", [False, True])
async def test_a_mail_that_cannot_be_sent_keeps_nobody_from_being_asked(retryable):
    answers = {name: error(retryable=retryable) for name in ("ask_approver.0", "remind_approver.0", "ask_approver.1")}
    wait = await Wait(answers | {"remind_approver.1": {"decision": DECIDED}}).run("order-1~decision")
    assert (wait.steps[-1], wait.output) == ("remind_approver.1", DECIDED)
    assert wait.now < START + timedelta(days=5)


async def test_what_cannot_be_looked_at_is_an_error_with_its_name():
    wait = await Wait({"decide_by_default": error(retryable=False)}).run("order-1~decision")
    assert wait.output == {"error": {"type": "MailRefused", "message": "no", "retryable": False}}
