"""The doors to approvals: a page for people, JSON for programs, and nothing is decided by looking."""

from __future__ import annotations

import re
from typing import Any

import pytest

from jobs import approvals
from jobs.settings import settings
from tests.unit.asking import SETTINGS, RunningJobs, link, opened
from tests.unit.triggers.doors import ask, content

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("storage")]

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
FORM = {**BROWSER, "Content-Type": "application/x-www-form-urlencoded"}
JSON = {"Content-Type": "application/json"}
HOSTILE = "<script>alert(1)</script> \"'>{{ 7 * 7 }} \u202egnp.exe"


@pytest.fixture
def durable() -> RunningJobs:
    return RunningJobs()


@pytest.fixture(autouse=True)
def asking(world, monkeypatch) -> None:
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)
    settings.cache_clear()


async def asked(**question: Any) -> tuple[str, str]:
    """The id of an approval, and the token of its first link."""
    id = (await opened(**question)).job.instance_id
    return id, link(id)


async def look(token: str, headers: dict[str, str] = BROWSER, method: str = "GET"):
    return await ask("show_approval", method=method, headers=headers, token=token)


async def vote(durable, token: str, body: bytes, headers: dict[str, str] = FORM):
    return await ask("vote_by_link", durable, method="POST", body=body, headers=headers, token=token)


def text(answer) -> str:
    return answer.get_body().decode()


async def test_looking_decides_nothing_however_often():
    """As the scanners of mail servers do."""
    id, token = await asked()
    before = await approvals.get(id)
    for method in ("GET", "HEAD"):
        for headers in (BROWSER, {}, {"Accept": "*/*", "User-Agent": "scanner"}, JSON):
            assert (await look(token, headers, method)).status_code == 200
    assert await approvals.get(id) == before


async def test_the_page_needs_no_script_and_is_kept_nowhere():
    _, token = await asked()
    answer = await look(token)
    assert (answer.mimetype, "<script" in text(answer), "http" in text(answer)) == ("text/html", False, False)
    headers = answer.headers
    assert (headers["Cache-Control"], headers["Referrer-Policy"]) == ("no-store", "no-referrer")
    assert "noindex" in headers["X-Robots-Tag"]
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "form-action 'self'" in policy
    assert "unsafe" not in policy and "script-src" not in policy
    assert 'name="decision" value="approve"' in text(answer) and 'name="decision" value="reject"' in text(answer)
    assert 'content="width=device-width' in text(answer) and "prefers-color-scheme: dark" in text(answer)


async def test_whatever_was_asked_or_said_is_text(durable):
    _, token = await asked(question=HOSTILE, details={HOSTILE: HOSTILE, "number": 3})
    page = text(await look(token))
    assert "<script" not in page and "{{ 7 * 7 }}" in page and "&lt;script&gt;" in page
    assert page.count("<bdi>") == page.count("</bdi>") >= 5
    said = "decision=reject&reason=%3Cb%20onmouseover%3Dx%3E%E2%80%AE"
    after = text(await vote(durable, token, said.encode()))
    assert "<b onmouseover" not in after and "&lt;b onmouseover" in after


async def test_the_form_decides_and_says_so(durable):
    id, token = await asked()
    answer = await vote(durable, token, b"decision=approve&reason=")
    assert (answer.status_code, "approved" in text(answer), "<form" in text(answer)) == (200, True, False)
    found = await approvals.get(id)
    assert (found.state, found.reason, found.decided_by) == ("Approved", None, "a@nightshift.example")
    again = await vote(durable, token, b"decision=reject")
    assert (again.status_code, again.mimetype, "approved" in text(again)) == (409, "text/html", True)
    assert again.headers["Cache-Control"] == "no-store"


async def test_a_program_is_answered_with_json(durable):
    _, token = await asked()
    assert content(await look(token, {"Accept": "application/json"}))["state"] == "Open"
    answer = await vote(durable, token, b'{"decision":"reject","reason":"no"}', JSON)
    assert (answer.status_code, content(answer)["state"], content(answer)["via"]) == (200, "Rejected", "link")
    again = await vote(durable, token, b'{"decision":"approve"}', JSON)
    assert (again.status_code, again.mimetype) == (409, "application/problem+json")
    assert content(again)["title"] == "Decided already"


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"", FORM),
        (b"decision=maybe", FORM),
        (b"decision=approve&by=me", FORM),
        (b"reason=x", FORM),
        (b"decision=approve&reason=%00", FORM),
        (b"decision=approve&reason=%ff", FORM),
        (b"\xff", FORM),
        (b"decision=approve&reason=" + b"x" * 501, FORM),
        (b"[]", JSON),
        (b"{", JSON),
        (b'{"decision":true}', JSON),
        (b'{"decision":"approve","x":1}', JSON),
    ],
)
async def test_what_is_no_vote_is_refused(durable, body, headers):
    id, token = await asked()
    answer = await vote(durable, token, body, headers)
    assert (answer.status_code, (await approvals.get(id)).state) == (400, "Open")


async def test_a_vote_that_is_too_large_is_refused(durable):
    _, token = await asked()
    assert (await vote(durable, token, b"decision=approve&reason=" + b"x" * 20_000)).status_code == 413


async def test_each_refusal_has_its_own_answer(durable, monkeypatch):
    id, token = await asked()
    assert (await vote(durable, token[:-9] + "forged" + token[-3:], b"decision=approve")).status_code == 403
    assert (await look(link("order-nobody"))).status_code == 404
    page = await look(link(id, lasts=-1))
    assert (page.status_code, page.mimetype, page.headers["Referrer-Policy"]) == (410, "text/html", "no-referrer")
    assert "worked until" in text(page)
    monkeypatch.setenv("SIGNING_KEY", "")
    settings.cache_clear()
    unset = await look(token)
    assert (unset.status_code, "SIGNING_KEY" in text(unset)) == (503, True)
    assert (await approvals.get(id)).state == "Open"


async def test_the_api_lists_and_decides(durable):
    id, _ = await asked(details={"price": 3})
    listed = content(await ask("list_approvals", params={"state": "Open", "top": "1000"}))["approvals"]
    [mine] = [each for each in listed if each["id"] == id]
    assert (mine["approver"], mine["details"], mine["state"]) == ("a@nightshift.example", {"price": 3}, "Open")
    assert re.fullmatch(r"[0-9a-f]{32}", mine["job"]["id"])

    async def decide(body: bytes, approval: str = id):
        return await ask("decide_approval", durable, method="POST", body=body, headers=JSON, id=approval)

    assert (await decide(b'{"decision":"approve"}')).status_code == 400  # by whom?
    decided = await decide(b'{"decision":"approve","by":"Grace"}')
    assert (decided.status_code, content(decided)["decidedBy"], content(decided)["via"]) == (200, "Grace", "api")
    assert (await decide(b'{"decision":"approve","by":"Grace"}')).status_code == 409
    assert (await decide(b'{"decision":"approve","by":"Grace"}', "order-nobody")).status_code == 404


@pytest.mark.parametrize("params", [{"state": "open"}, {"top": "0"}, {"top": "x"}, {"top": "1001"}])
async def test_a_list_that_cannot_be_made_is_refused(params):
    assert (await ask("list_approvals", params=params)).status_code == 400
