"""How integration tests answer the app's questions to people: by the links in its mails, and by the API."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import httpx

from tests.integration.jobs_seen import fresh

if TYPE_CHECKING:
    from tests.integration.jobs_seen import Jobs

FIRST, SECOND = "first@nightshift.example", "second@nightshift.example"
ASKING = {"APPROVERS": f"{FIRST} {SECOND}", "SIGNING_KEY": "a key that only tests know"}
"""Settings of a shop that can ask."""
REMINDER, ESCALATION = 86_400, 3 * 86_400
LINK = re.compile(r"https?://\S+(/api/approvals/\S+)")
PAGE = {"Accept": "text/html"}


class Questions:
    """The questions that jobs of a shop ask."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs

    def ask(self, id: str | None = None, **input: Any) -> str:
        """Submit an approval, and return the job's id."""
        id = id or fresh("ask")
        given = {"question": "Shall we?", **input}
        assert self._jobs.submit(id, given, kind="approval").status_code == 202
        return id

    def mails(self, to: str, id: str, kind: str = "approval") -> list[dict[str, Any]]:
        """What an approver was mailed about a job."""
        found = self._jobs.sandbox.mailbox(to)["messages"]
        return [mail for mail in found if f"({kind} {id})" in mail["subject"]]

    def links(self, to: str, id: str, kind: str = "approval") -> list[str]:
        """The paths to which an approver's mails about a job lead, each once."""
        return list(dict.fromkeys(LINK.search(mail["text"])[1] for mail in self.mails(to, id, kind)))

    def link(self, to: str, id: str, kind: str = "approval") -> str:
        """The only one."""
        [link] = self.links(to, id, kind)
        return link

    def all_links(self, to: str) -> dict[str, str]:
        """The path to which the newest mail leads, by the id of the job that it is about."""
        found = self._jobs.sandbox.mailbox(to)["messages"]
        about = ((re.search(r"\(\S+ (\S+)\)", mail["subject"]), LINK.search(mail["text"])) for mail in found)
        return {job[1]: link[1] for job, link in about}

    def vote(self, link: str, decision: str, **more: Any) -> httpx.Response:
        """As the form on the page does."""
        return self._jobs.shop.post(link, data={"decision": decision, **more}, headers=PAGE)

    def decide(self, approval: str, decision: str, by: str = "Grace", **more: Any) -> httpx.Response:
        """As the API has it."""
        given = {"decision": decision, "by": by, **more}
        return self._jobs.shop.post(f"/api/approvals/{approval}/decision", json=given)

    def result(self, id: str) -> dict[str, Any]:
        """What became of a question, which must be decided."""
        done = self._jobs.ended(id, "approval")
        assert done["status"] == "Completed", done
        return done["result"]

    def look(self, link: str) -> httpx.Response:
        """As a person does."""
        return self._jobs.shop.get(link, headers=PAGE)
