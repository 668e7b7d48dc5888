"""Two hundred questions answered in every way that people, programs and attackers have: each is decided once."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable

from tests.integration.jobs_seen import fresh
from tests.integration.questions_seen import ASKING, ESCALATION, FIRST, SECOND, Questions

COUNT = 200
OTHER = {"approve": "reject", "reject": "approve"}
SAID = {"approve": "approved", "reject": "rejected"}


class Crowd:
    """All who have to do with the questions. Each way to answer one returns what must come of it."""

    def __init__(self, jobs, seed: int) -> None:
        self._jobs = jobs
        self._questions = Questions(jobs)
        self.random = random.Random(seed)
        self.expected: dict[str, tuple[str, str | None, str]] = {}
        """By job: decision, by whom, and by which way."""

    def ask(self) -> list[str]:
        """Ask all questions. Some are answered before their orchestration waits."""
        ids = [fresh("crowd") for _ in range(COUNT)]
        for id in ids:
            self._questions.ask(id)
            if self.random.random() < 0.1:
                self.before_the_wait(id)
        return ids

    def answer(self, id: str) -> None:
        """Answer one in a way of its own."""
        ways: list[Callable[[str], None]] = [self.by_link, self.by_api, self.with_noise, self.forged_first, self.never]
        [way] = self.random.choices(ways, [5, 4, 3, 2, 1])
        way(id)

    def before_the_wait(self, id: str) -> None:
        vote = self._vote()
        while (answer := self._questions.decide(f"approval-{id}", vote, by="early")).status_code == 404:
            pass
        assert answer.status_code == 200
        self.expected[id] = SAID[vote], "early", "api"

    def by_link(self, id: str) -> None:
        vote = self._vote()
        link = self.links[id]
        assert self._questions.vote(link, vote).status_code == 200
        self.expected[id] = SAID[vote], FIRST, "link"
        if self.random.random() < 0.3:
            again = self._questions.decide(f"approval-{id}", OTHER[vote])
            assert again.status_code == 409

    def by_api(self, id: str) -> None:
        vote = self._vote()
        assert self._questions.decide(f"approval-{id}", vote).status_code == 200
        self.expected[id] = SAID[vote], "Grace", "api"
        if self.random.random() < 0.3:
            assert self._questions.vote(self.links[id], OTHER[vote]).status_code == 409

    def with_noise(self, id: str) -> None:
        """Events without a vote, also for waits that are still to come."""
        for name in self.random.choices(
            ["decided.0", "decided.1", "decided.2", "decided.7", "decided", "cancelled"], k=2
        ):
            self._raise(id, name)
        self.random.choice([self.by_link, self.by_api])(id)

    def forged_first(self, id: str) -> None:
        link = self.links[id]
        # Two bits of the last letter mean nothing.
        at = self.random.randrange(len("/api/approvals/"), len(link) - 1)
        forged = link[:at] + ("A" if link[at] != "A" else "B") + link[at + 1 :]
        assert self._questions.vote(forged, "approve").status_code == 403
        self.by_link(id)

    def never(self, id: str) -> None:
        self.expected[id] = "rejected", None, "default"

    def answer_late(self) -> None:
        """In the second round: the first links are no longer good, and some of the second approver's are used."""
        second = self._questions.all_links(SECOND)
        for id, (_, _, via) in self.expected.items():
            if via == "default":
                vote = self._vote()
                assert self._questions.vote(self.links[id], vote).status_code == 410
                if self.random.random() < 0.5:
                    assert self._questions.vote(second[id], vote).status_code == 200
                    self.expected[id] = SAID[vote], SECOND, "link"

    def read_mails(self) -> None:
        """The first approver's links, by job."""
        self.links = self._questions.all_links(FIRST)

    def _vote(self) -> str:
        return self.random.choice(list(OTHER))

    def _raise(self, id: str, name: str) -> None:
        url = f"/runtime/webhooks/durabletask/instances/approval-{id}~decision/raiseEvent/{name}"
        assert self._jobs.shop.post(url, json="look").status_code == 202


def test_each_is_decided_once_and_rightly(open_shop, jobs_of, monkeypatch):
    jobs = jobs_of(open_shop(**ASKING, APPROVAL_REMINDER=str(ESCALATION)))
    monkeypatch.setattr(sys.modules["jobs.clock"], "now", jobs.shop.app.clock.now)
    crowd = Crowd(jobs, seed=20261122)
    ids = crowd.ask()
    jobs.shop.drain()
    crowd.read_mails()
    for id in ids:
        if id not in crowd.expected:
            crowd.answer(id)
    jobs.shop.advance(seconds=ESCALATION + 1)
    crowd.answer_late()
    jobs.shop.advance(seconds=ESCALATION)

    rows = jobs.rows("approvals", "PartitionKey eq 'approval'")
    found = {
        row["jobId"]: (row["state"].lower(), row.get("decidedBy"), row["via"]) for row in rows if row["jobId"] in ids
    }
    assert found == crowd.expected
    assert {by for _, by, _ in found.values()} == {FIRST, SECOND, "Grace", "early", None}
    ended = {row["RowKey"]: row for row in jobs.rows("jobs", "PartitionKey eq 'approval' and state eq 'Completed'")}
    assert all(f'"decision":"{found[id][0]}"' in ended[id]["result"] for id in ids)
    assert jobs.runs()["end_job"] == COUNT
