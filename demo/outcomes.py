"""What became of each job, followed from its submission to its end."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import httpx

from demo.approver import Approver
from demo.receiver import Receiver
from demo.scenarios import DEAD_LETTER, ORDER, Scenario
from demo.shop import Shop

FINAL = {"Completed", "Failed", "Cancelled"}


@dataclass(slots=True)
class Case:
    """A scenario and how far it is. `outcome` stays None until it has ended."""

    scenario: Scenario
    message_id: str | None = None
    """Of what was put into a queue."""
    job_id: str = ""
    """Of the job, which is the scenario's unless the app has chosen it."""
    status: dict[str, Any] = field(default_factory=dict)
    """What the app said of the job last."""
    percent: int = 0
    step: str = ""
    outcome: str | None = None
    is_submitted: bool = False
    cancel_asked: bool = False
    has_voted: bool = False
    outcome_of_replay: str | None = None

    def __post_init__(self) -> None:
        self.job_id = self.job_id or self.scenario.id

    @property
    def is_right(self) -> bool:
        return self.outcome == self.scenario.expected

    @property
    def last_outcome(self) -> str | None:
        """What it has come to in the end."""
        return self.outcome_of_replay or self.outcome

    def aim(self, fault: dict[str, Any]) -> dict[str, Any]:
        """A fault of the scenario, with the customer that it is for."""
        customer = json.loads(self.scenario.content)["customer"]
        who = {"recipient": customer["email"]} if fault["when"]["operation"] == "mail" else {"customer": customer["id"]}
        return {**fault, "when": fault["when"] | who}

    @property
    def lines(self) -> dict[str, int]:
        """Pieces by sku, of an order."""
        return {line["sku"]: line["quantity"] for line in json.loads(self.scenario.content)["lines"]}


class Following:
    """Submits the cases, plays those who answer, and asks for each case until it has ended."""

    def __init__(self, shop: Shop, cases: Iterable[Case], approver: Approver, receiver: Receiver) -> None:
        self._shop = shop
        self._cases = list(cases)
        self._approver = approver
        self._receiver = receiver

    def submit(self, case: Case) -> None:
        """Bring a case to its door, if what comes before it has ended. An answer other than 202 is its outcome already.

        What the app starts itself is only looked for.
        """
        if not self._may_begin(case):
            return
        case.is_submitted = True
        if case.scenario.is_upload:
            case.job_id = self._shop.upload(case.scenario)
            case.step = "uploaded"
            return
        if case.scenario.door == ORDER:
            parcel = self._shop.parcel_of(case.scenario.after)
            case.is_submitted, case.job_id = parcel is not None, parcel or case.job_id
            return
        callback_url = self._receiver.url(case.scenario.id) if case.scenario.calls_back else None
        answer = self._shop.submit(case.scenario, callback_url)
        if isinstance(answer, str):
            case.message_id = answer
            case.step = "in the queue"
        elif answer.status_code == 202:
            case.step = "accepted"
        else:
            case.outcome = _answered(answer)

    @property
    def open_cases(self) -> list[Case]:
        """The cases that have not ended."""
        return [case for case in self._cases if case.outcome is None]

    def answer(self) -> None:
        """Vote about each case that waits for it: a person's time is limited."""
        for case in self.open_cases:
            if case.scenario.vote and case.is_submitted and not case.has_voted:
                case.has_voted = self._approver.vote(case.scenario.id, case.scenario.vote)

    def hurry(self) -> bool:
        """Ask once for the cases that have to be cancelled at a step. Returns whether one still has to be."""
        self.answer()
        for case in self._to_cancel():
            if status := self._shop.status(case.scenario.kind, case.job_id):
                self._take(case, status)
        return bool(self._to_cancel())

    def look(self) -> None:
        """Ask once for every case that has not ended."""
        self.answer()
        for case in self.open_cases:
            if not case.is_submitted:
                self.submit(case)
        open_cases = [case for case in self.open_cases if case.is_submitted]
        letters = self._shop.dead_letters() if any(case.message_id for case in open_cases) else []
        is_dead = {letter["messageId"]: letter["reason"] for letter in letters}
        for case in open_cases:
            if reason := is_dead.get(case.message_id):
                case.outcome = f"{DEAD_LETTER}: {reason}"
            elif status := self._shop.status(case.scenario.kind, case.job_id):
                self._take(case, status)

    def look_after_replay(self, case: Case) -> None:
        """Ask once for a case whose dead letter was replayed."""
        status = self._shop.status(case.scenario.kind, case.job_id)
        if status and status["status"] in FINAL:
            case.outcome_of_replay = _ended(status)

    def _to_cancel(self) -> list[Case]:
        waiting = [case for case in self.open_cases if case.is_submitted and not case.cancel_asked]
        return [case for case in waiting if case.scenario.cancel_at]

    def _may_begin(self, case: Case) -> bool:
        before = [each for each in self._cases if each.scenario.id == case.scenario.after]
        return all(each.outcome for each in before[:1])

    def _take(self, case: Case, status: dict[str, Any]) -> None:
        case.status = status
        progress = status["progress"] or {}
        case.percent = progress.get("percent") or case.percent
        case.step = progress.get("step") or status["status"]
        if case.scenario.cancel_at == case.step and not case.cancel_asked:
            self._shop.cancel(case.scenario)
            case.cancel_asked = True
        if status["status"] in FINAL:
            case.outcome = _ended(status)


def _answered(answer: httpx.Response) -> str:
    if answer.is_success:
        return f"{answer.status_code}, the same job"
    is_json = "json" in answer.headers.get("Content-Type", "")
    return f"{answer.status_code} {answer.json()['title'] if is_json else answer.reason_phrase}"


def _ended(status: dict[str, Any]) -> str:
    error = status.get("error")
    if not error:
        return status["status"]
    if open_steps := error.get("openCompensations"):
        # "refund_payment" is a refund.
        return f"{status['status']}, {', '.join(step.partition('_')[0] for step in open_steps)} open"
    return f"{status['status']}: {error['type']}"
