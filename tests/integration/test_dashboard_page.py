"""The dashboard whatever the app says, or when it says nothing: shown as text, for everybody, on any screen."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import expect

from tests.integration.browser import PHONE, FakeHost

ATTACKS = (
    "<img src=x onerror=alert(1)>",
    "\"'><script>alert(2)</script>",
    "javascript:alert(3)//${alert(4)}{{alert(5)}}",
    "\u202egnp.exe\u2066 \u0000\u05d8\u05e7\u05e1\u05d8",
    "</textarea><svg/onload=alert(6)>" + "x" * 10_000,
)
NOW = datetime.now(UTC)


def ago(**parts: float) -> str:
    return (NOW - timedelta(**parts)).isoformat().replace("+00:00", "Z")


def job(kind: str, id: str, status: str, **more) -> dict:
    times = {"submittedAt": ago(minutes=3), "startedAt": ago(minutes=2), "completedAt": None}
    return {"kind": kind, "id": id, "status": status, "progress": None, "correlationId": "c0ffee", **times, **more}


RUNNING = job("order", "A-1", "Running", progress={"percent": 40, "step": "charge_payment"})
WAITING = job("refund", "R-1", "Running", waitingFor="approval", progress={"percent": 10, "step": "decision"})
TRAVELS = {"waitingFor": "carrier", "progress": {"percent": 50, "step": "look_up_parcel", "state": "in-transit"}}
DONE = job("photo", "P-1", "Completed", runSeconds=12.3)
QUESTION = {
    "id": "refund-R-1",
    "job": {"kind": "refund", "id": "R-1"},
    "question": "May R-1 be paid?",
    "details": {"total": "9.00 EUR"},
    "approver": "ada@example.com",
    "default": "reject",
    "openedAt": ago(hours=2),
    "expiresAt": ago(hours=-46),
}
LETTER = {
    "id": "poison-jobs-7",
    "queue": "poison-jobs",
    "source": "storage:jobs",
    "messageId": "m",
    "reason": "NotAJob",
    "description": "the text is not JSON",
    "attempts": 1,
    "enqueuedAt": ago(days=2),
}
SCHEDULE = {
    "name": "watchdog",
    "expression": "0 * * * * *",
    "timeZone": "Etc/UTC",
    "state": "missed",
    "last": ago(hours=1),
    "next": ago(minutes=-1),
    "lateSince": ago(minutes=50),
    "missed": [ago(minutes=50)],
    "lastJob": "/api/jobs/retention/2026-11-22",
}
ALERT = {"alert": "queue:jobs", "summary": "the queue jobs is too long", "since": ago(minutes=9), "depth": 1200}
DECLINED = {"type": "GatewayUnavailable", "message": "declined"}
STEPS = [
    {"step": "reserve_stock", "status": "Completed", "startedAt": ago(seconds=60), "completedAt": ago(seconds=59)},
    {"step": "charge_payment", "status": "Running", "startedAt": ago(seconds=59), "attempts": 3, "error": DECLINED},
]


@pytest.fixture
def host() -> FakeHost:
    fake = FakeHost()
    fake.answers |= {
        "GET /jobs": {"jobs": [RUNNING, WAITING, DONE]},
        "GET /jobs/order/A-1": RUNNING | {"steps": STEPS},
        "GET /jobs/refund/R-1": WAITING | TRAVELS,
        "GET /approvals": {"approvals": [QUESTION]},
        "GET /dead-letters": {"deadLetters": [LETTER]},
        "GET /schedules": {"schedules": [SCHEDULE], "alerts": [ALERT]},
        "GET /queues": {"queues": [{"queue": "jobs", "depth": 1200, "oldestSeconds": 4000, "isMore": True}]},
    }
    return fake


TABS = ("Jobs", "Approvals", "Dead letters", "Schedules", "Queues")


SHOWS = """(texts) => texts.every(
  (text) => document.querySelector("[role=tabpanel]:not([hidden])").textContent.includes(text))"""


def hostile(text: str, number: int) -> dict:
    """Answers of the app that say `text` wherever it says something."""
    error = {"type": text, "message": text, "retryable": False, "openCompensations": [text]}
    bad = job(text, text, "Failed", error=error, result={text: text, "link": "javascript:alert(7)"}, correlationId=text)
    steps = [{"step": text, "status": text, "startedAt": text, "error": {"type": text, "message": text}}]
    deliveries = {text: {"state": text, "host": text, "error": {"type": "Refused", "message": text}, "attempts": 2}}
    letter = LETTER | {"id": f"poison-jobs-{number}", "reason": text, "description": text, "source": text}
    schedule = SCHEDULE | {"name": text, "expression": text, "lastJob": f"/api/jobs/{text}"}
    asked = {"id": text, "question": text, "details": {text: text}, "approver": text}
    return {
        "jobs": bad,
        f"GET /jobs/{text}/{text}": bad | {"steps": steps, "deliveries": deliveries},
        "approvals": QUESTION | asked,
        "deadLetters": letter,
        f"GET /dead-letters/poison-jobs-{number}": letter | {"body": text},
        "schedules": schedule,
        "alerts": ALERT | {"alert": text, "summary": text, text: text},
        "queues": {"queue": text, "depth": 1, "oldestSeconds": None, "isMore": False},
    }


def test_what_is_hostile_is_text(host, visit):
    said = [hostile(text, number) for number, text in enumerate(ATTACKS)]
    for each in said:
        host.answers |= {name: answer for name, answer in each.items() if name.startswith("GET ")}
    for path, names in (
        ("/jobs", ("jobs",)),
        ("/approvals", ("approvals",)),
        ("/dead-letters", ("deadLetters",)),
        ("/schedules", ("schedules", "alerts")),
        ("/queues", ("queues",)),
    ):
        host.answers[f"GET {path}"] = {name: [each[name] for each in said] for name in names}
    host.answers["GET /jobs"]["damaged"] = ["order/<b>unreadable</b>"]
    seen = visit(host)
    shown = [text[:20] for text in ATTACKS]
    shown[3] = "⟨U+202E⟩gnp.exe⟨U+2066⟩ ⟨U+0000⟩"
    for tab in reversed(TABS):
        seen.open_tab(tab)
        seen.page.wait_for_function(SHOWS, arg=[*shown, "order/<b>unreadable</b>"] if tab == "Jobs" else shown)
        seen.assert_fits()
        if tab == "Dead letters":
            for number, text in enumerate(shown):
                seen.page.get_by_role("button", name="Show what failed").nth(number).click()
                expect(seen.page.get_by_label("The message that failed")).to_contain_text(text)
                seen.page.keyboard.press("Escape")
    seen.photograph("hostile")
    for number, text in enumerate(shown):
        seen.page.locator("#panel-jobs .row .open").nth(number).click()
        expect(seen.job.locator(".timeline .step")).to_contain_text(text)
        expect(seen.job.locator("section.deliveries")).to_contain_text(f"Refused: {text}")
        seen.assert_fits()
        assert seen.page.locator("img, script:not([type=module]), svg:not(.moon), iframe").count() == 0
        assert seen.page.locator("[onerror], [onload], [style]:not([style='']), a[href^=javascript i]").count() == 0
        seen.page.keyboard.press("Escape")


def test_it_says_since_when_it_is_stale_and_recovers(host, visit):
    seen = visit(host)
    expect(seen.row("A-1")).to_contain_text("Running")
    host.is_away = True
    seen.look()
    notice = seen.page.locator("body > .stale")
    expect(notice).to_have_text(re.compile(r"Stale since \d\d:\d\d:\d\d: the host does not answer"))
    expect(seen.row("A-1")).to_contain_text("Running")
    seen.photograph("stale")
    host.is_away = False
    seen.page.clock.run_for(2000)  # by itself
    expect(notice).to_be_empty()
    host.answers["GET /jobs"] = 503
    seen.look()
    expect(notice).to_contain_text("the host answers 503")
    host.answers["GET /jobs"] = {"jobs": [DONE, "odd"]}
    seen.look()
    expect(notice).to_contain_text("does not understand")
    host.answers["GET /jobs"] = {"jobs": []}
    seen.look()
    expect(notice).to_be_empty()
    expect(seen.page.get_by_role("tabpanel")).to_contain_text("No job was submitted in that time")


def test_a_refusal_of_the_old_key_says_nothing_of_the_new_one(host, visit):
    found, host.answers["GET /jobs"], host.slow = host.answers["GET /jobs"], 401, "/approvals"
    seen = visit(host)
    expect(seen.page.locator("#key")).to_contain_text("This host asks for a key")
    host.answers["GET /jobs"], host.slow = found, None
    seen.enter_key("the-new-key")
    host.held.pop().fulfill(status=401)
    expect(seen.row("A-1")).to_be_visible()
    expect(seen.page.locator("#key")).to_be_hidden()


def test_what_an_older_app_lacks_is_said(host, visit):
    host.answers = {"GET /jobs": {"jobs": [RUNNING]}}
    seen = visit(host)
    expect(seen.row("A-1")).to_be_visible()
    for tab in TABS[1:]:
        seen.open_tab(tab)
        expect(seen.page.get_by_role("tabpanel")).to_contain_text("This version of the app does not offer this.")


def test_refreshes_take_neither_focus_nor_what_is_typed(host, visit):
    seen = visit(host)
    seen.page.get_by_label("Text").fill("a-1")
    expect(seen.row("R-1")).to_have_count(0)
    seen.page.get_by_label("Text").fill("")
    button = seen.row("A-1").get_by_role("button")
    button.focus()
    new = job("mail", "M-1", "Pending")
    host.answers["GET /jobs"] = {"jobs": [new, WAITING, RUNNING | {"status": "Completed"}]}
    seen.look()
    expect(seen.row("A-1")).to_contain_text("Completed")
    expect(button).to_be_focused()
    host.answers["GET /jobs"] = {"jobs": [new]}
    seen.look()
    expect(button).to_have_count(0)
    expect(seen.page.get_by_role("list", name="Jobs, newest first")).to_be_focused()
    seen.open_tab("Approvals")
    seen.page.get_by_role("button", name="Reject").click()
    reason = seen.page.get_by_label("Reason")
    seen.page.get_by_label("Your name").fill("Ada")
    reason.fill("half a sent")
    host.answers |= {"GET /approvals": {"approvals": []}, "POST /approvals/refund-R-1/decision": 409}
    seen.look()
    expect(seen.page.locator("#panel-approvals .empty")).to_be_visible()
    reason.press_sequentially("ence")
    seen.page.locator("#decide").get_by_role("button", name="Reject").click()
    expect(seen.page.locator("#decide")).to_contain_text("Too late")
    expect(reason).to_have_value("half a sentence")
    seen.look()
    expect(reason).to_have_value("half a sentence")


def test_it_asks_every_two_seconds_but_for_nothing_while_it_is_hidden(host, visit):
    seen = visit(host)
    expect(seen.row("A-1")).to_be_visible()

    def asks(within: int) -> bool:
        asked = len(host.asked)
        seen.page.clock.run_for(within)
        # A look asks twice, for jobs and for their progress: it is over when what was asked after each is answered.
        for _ in range(3):
            seen.page.evaluate("async () => { await fetch('/api/dashboard') }")
        return len(host.asked) > asked

    assert asks(2000) and asks(2000)
    seen.page.evaluate(
        "() => { Object.defineProperty(document, 'hidden', {value: true, configurable: true});"
        " document.dispatchEvent(new Event('visibilitychange')) }"
    )
    asked = len(host.asked)
    seen.look()
    assert not asks(60_000) and len(host.asked) == asked
    seen.page.evaluate("() => { delete document.hidden; document.dispatchEvent(new Event('visibilitychange')) }")
    assert asks(10)


def test_it_works_by_keyboard_alone(host, visit):
    seen = visit(host)
    expect(seen.row("A-1")).to_be_visible()
    press = seen.page.keyboard.press
    press("Tab")
    expect(seen.page.get_by_role("link", name="Skip to the content")).to_be_focused()
    for name in ("Key", "Submit a job"):
        press("Tab")
        expect(seen.button(name)).to_be_focused()
        assert seen.page.evaluate("() => getComputedStyle(document.activeElement).outlineStyle") == "solid"
    press("Tab")
    for key, tab in (("ArrowRight", "Approvals"), ("End", "Queues"), ("ArrowRight", "Jobs"), ("ArrowLeft", "Queues")):
        press(key)
        expect(seen.page.get_by_role("tab", name=tab)).to_be_focused()
        expect(seen.page.get_by_role("tabpanel", name=tab)).to_be_visible()
    press("Home")
    for _ in range(5):  # the panel's three filters, the list's first job
        press("Tab")
        if seen.page.evaluate("() => document.activeElement.matches('.row .open')"):
            break
    press("Enter")
    expect(seen.job).to_be_visible()
    for _ in range(3):
        press("Tab")
        if seen.page.evaluate("() => document.activeElement.id === 'cancel-job'"):
            break
    press("Enter")
    expect(seen.page.locator("#confirm")).to_be_visible()
    press("Escape")
    expect(seen.button("Cancel this job", seen.job)).to_be_focused()
    press("Escape")
    expect(seen.job).to_be_hidden()
    expect(seen.row("A-1").get_by_role("button")).to_be_focused()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_can_be_read_on_a_phone_and_aloud_by_day_and_by_night(host, visit, scheme):
    seen = visit(host, viewport=PHONE, color_scheme=scheme)
    for tab in TABS:
        seen.open_tab(tab)
        expect(seen.page.get_by_role("tabpanel").get_by_role("listitem").first).to_be_visible()
        seen.assert_fits()
        assert faint(seen) == nameless(seen) == []
        seen.photograph(f"phone-{scheme}-{tab.lower().replace(' ', '-')}")
    seen.open_tab("Jobs")
    seen.row("R-1").get_by_role("button").click()
    expect(seen.job).to_contain_text("Waits for carrier · in-transit")
    seen.page.keyboard.press("Escape")
    seen.row("A-1").get_by_role("button").click()
    expect(seen.job.locator(".timeline li")).to_have_count(2)
    seen.assert_fits()
    assert faint(seen) == nameless(seen) == []
    seen.photograph(f"phone-{scheme}-job")
    seen.page.keyboard.press("Escape")
    seen.button("Submit a job").click()
    seen.assert_fits()
    assert faint(seen) == []


def test_everything_that_is_referred_to_is_there_once(host, visit):
    seen = visit(host)
    assert seen.page.locator("h1").count() == 1
    assert seen.page.get_by_role("main").count() == seen.page.get_by_role("banner").count() == 1
    ids = seen.page.evaluate("() => [...document.querySelectorAll('[id]')].map((each) => each.id)")
    assert len(ids) == len(set(ids))
    referred = seen.page.evaluate(
        "() => [...document.querySelectorAll('*')].flatMap((each) => ['aria-labelledby', 'aria-describedby',"
        " 'aria-controls', 'for'].flatMap((name) => (each.getAttribute(name) ?? '').split(' ').filter(Boolean)))"
    )
    assert set(referred) <= set(ids)


NAMELESS = """() => [...document.querySelectorAll(
  'button, input, select, textarea, dialog, progress:not([hidden]), meter, ul')]
  .filter((each) => !(each.ariaLabel || each.labels?.length || each.getAttribute('aria-labelledby')
    || (each.matches('button') && (each.textContent.trim() || each.hidden))
    || (each.matches('ul') && !each.matches('.rows'))))
  .map((each) => each.outerHTML.slice(0, 80))"""

FAINT = """() => {
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (each) => {
    for (let at = each; at; at = at.parentElement) {
      const colour = parse(getComputedStyle(at).backgroundColor);
      if ((colour[3] ?? 1) > 0) return colour;
    }
    return [255, 255, 255];
  };
  const faint = [];
  for (const each of document.querySelectorAll('body *')) {
    const hasText = [...each.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!hasText || !each.checkVisibility() || each.closest('.unseen, .skip, script, noscript')) continue;
    const [a, b] = [light(parse(getComputedStyle(each).color)), light(behind(each))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) faint.push(`${ratio.toFixed(2)} ${each.outerHTML.slice(0, 100)}`);
  }
  return faint;
}"""


def faint(seen) -> list[str]:
    """Texts whose contrast is below 4.5 : 1 (WCAG 2.2, 1.4.3)."""
    return seen.page.evaluate(FAINT)


def nameless(seen) -> list[str]:
    """What is worked with, or shows a value, and has no name for those who do not see it."""
    return seen.page.evaluate(NAMELESS)
