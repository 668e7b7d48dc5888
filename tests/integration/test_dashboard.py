"""The dashboard with the app behind it: what an operator does there all day, in a real browser."""

from __future__ import annotations

import json
import re

import pytest
from playwright.sync_api import expect

from tests.integration.browser import PHONE
from tests.integration.jobs_seen import PIECES, fresh
from tests.orders import article

FUNCTION_KEY, ADMIN_KEY = "function-key-of-the-test", "admin-key-of-the-test"


def held(jobs, id: str, operation: str = "charge") -> None:
    """The order waits ten minutes for the gateway."""
    jobs.sandbox.fault(
        {"when": {"customer": id, "operation": operation}, "fault": "throttle", "retryAfter": 600, "times": 1}
    )


def test_a_job_is_submitted_and_watched_to_its_end(jobs, visit):
    id = fresh("seen")
    held(jobs, id)
    # Five pauses, of which the last is longer than a slow machine is late.
    jobs.sandbox.fault({"when": {"recipient": f"{id}@example.com"}, "fault": "error", "times": 5})
    seen = visit(jobs.shop)
    seen.button("Submit a job").click()
    seen.page.get_by_label("Kind", exact=True).last.select_option("order")
    seen.page.get_by_label("Id", exact=True).fill(id)
    seen.page.get_by_label("Input, as JSON").fill(json.dumps(jobs.order(id)))
    seen.button("Submit").click()
    expect(seen.job.get_by_role("heading", name=f"order {id}")).to_be_visible()
    jobs.shop.drain()
    seen.look()
    bar = seen.job.get_by_role("progressbar")
    expect(bar).to_have_attribute("value", "20")
    expect(seen.job.locator("section.state")).to_contain_text("Running")
    expect(seen.job.locator("section.state")).to_contain_text("charge_payment")
    seen.photograph("submitted")
    jobs.shop.advance(minutes=10)
    seen.look()
    expect(bar).to_have_attribute("value", "80")
    jobs.shop.advance(minutes=1)
    seen.page.clock.run_for(2000)  # by itself
    expect(seen.job.locator("section.state")).to_contain_text("Completed")
    expect(seen.news).to_have_text(f"order {id}: Completed")
    expect(seen.job.get_by_label("The result as JSON")).to_contain_text('"total"')
    steps = seen.job.locator(".timeline li")
    expect(steps.filter(has_text="charge_payment")).to_contain_text("2 attempts")
    seen.photograph("completed")
    with seen.page.expect_response(lambda answer: f"/{id}?steps" in answer.url and answer.status == 304):
        seen.look()
    expect(steps.first).to_contain_text("reserve_stock")
    seen.page.keyboard.press("Escape")
    expect(seen.row(id)).to_contain_text("Completed")


def test_each_wrong_field_is_said_and_what_was_typed_stays(jobs, visit):
    seen, asked = visit(jobs.shop), []
    seen.page.route("**/openapi.json", lambda route: asked.append(route))
    with seen.page.expect_request("**/openapi.json"):
        seen.page.reload()
    seen.button("Submit a job").click()
    kind, id = seen.page.locator("#submit-kind"), seen.page.get_by_label("Id", exact=True)
    input, problem = seen.page.get_by_label("Input, as JSON"), seen.page.locator("#submit-problem")
    # What is proposed is what the app's description asks for, until somebody types.
    expect(input).to_have_value("{}")
    asked.pop().continue_()
    expect(input).to_have_value(re.compile("customer"))
    assert json.loads(input.input_value()).keys() == jobs.order("any").keys()
    kind.select_option("analytics")
    assert json.loads(input.input_value()) == {"event": ""}
    for typed, said in (
        ('{"event": ', "This is not JSON"),
        ('{"event": 1, "cause": "2"}', "event must be a text"),
        ('{"event": 1, "cause": "2"}', "cause there is no such field"),
    ):
        input.fill(typed)
        seen.button("Submit").click()
        expect(problem).to_contain_text(said)
    kind.select_option("mail")
    expect(input).to_have_value(typed)
    kind.select_option("analytics")
    id.fill("a b")
    seen.button("Submit").click()
    expect(seen.page.locator("#submit-id-error")).to_contain_text("must be letters")
    expect(id).to_have_attribute("aria-invalid", "")
    seen.photograph("wrong-input")
    seen.page.keyboard.press("Escape")
    seen.button("Submit a job").click()
    expect(input).to_have_value(typed)
    expect(id).to_have_value("a b")


def test_a_running_job_is_cancelled(jobs, visit):
    id = fresh("cancelled")
    held(jobs, id)
    jobs.submit(id)
    jobs.shop.drain()
    seen = visit(jobs.shop)
    seen.row(id).get_by_role("button").click()
    seen.button("Cancel this job", seen.job).click()
    seen.photograph("cancel")
    seen.page.locator("#confirm").get_by_role("button", name="Cancel this job").click()
    expect(seen.news).to_contain_text(re.compile(f"order {id}( is being cancelled|: Cancelled)"))
    seen.page.keyboard.press("Escape")
    jobs.shop.drain()
    seen.look()
    expect(seen.news).to_have_text(f"order {id}: Cancelled")  # and nothing older beside it
    seen.row(id).get_by_role("button").click()
    expect(seen.job.locator("section.state")).to_contain_text("Cancelled")
    expect(seen.button("Cancel this job", seen.job)).to_be_hidden()
    assert (jobs.ended(id)["status"], jobs.left()) == ("Cancelled", PIECES)


def test_a_person_approves(open_shop, jobs_of, visit):
    jobs = jobs_of(open_shop(APPROVERS="grace@example.com", SIGNING_KEY="signs-the-links-of-a-test"))
    id = fresh("asked")
    question = f"May {id} be sold?"
    jobs.submit(id, {"question": question, "details": {"total": "900.00 EUR"}}, kind="approval")
    jobs.shop.drain()
    seen = visit(jobs.shop, tab="approvals")
    card = seen.row(question)
    expect(card).to_contain_text("900.00 EUR")
    seen.photograph("approvals")
    card.get_by_role("button", name="Approve").click()
    seen.page.get_by_label("Your name").fill("Ada")
    seen.page.get_by_label("Reason").fill("a good customer")
    seen.photograph("approve")
    seen.page.locator("#decide").get_by_role("button", name="Approve").click()
    expect(seen.news).to_have_text(f"Approved: {question}")
    expect(card).to_have_count(0)
    jobs.shop.drain()
    decided = jobs.ended(id, "approval")["result"]
    assert (decided["decision"], decided["by"], decided["reason"]) == ("approved", "Ada", "a good customer")


def test_a_dead_letter_is_looked_at_replayed_and_another_discarded(jobs, visit, bus):
    id = fresh("greedy")
    jobs.submit(id, jobs.order(id, quantity=PIECES + 1))
    jobs.put("<b>no job</b>")
    jobs.shop.drain()
    jobs.stock.put(article(jobs.sku, PIECES + 1, price=1))
    seen = visit(jobs.shop, tab="letters")
    useless, letter = seen.row("NotAJob"), seen.row("OutOfStock")
    expect(letter).to_contain_text(f"order {id}")
    seen.photograph("dead-letters")
    useless.get_by_role("button", name="Show what failed").click()
    expect(seen.page.get_by_label("The message that failed")).to_have_text("<b>no job</b>")
    seen.page.keyboard.press("Escape")
    letter.get_by_role("button", name="Replay").click()
    seen.page.locator("#confirm").get_by_role("button", name="Replay").click()
    expect(seen.news).to_contain_text("was put back")
    useless.get_by_role("button", name="Discard").click()
    seen.photograph("discard")
    seen.button("Keep it").click()
    assert len(bus.dead()) == 1
    useless.get_by_role("button", name="Discard").click()
    seen.button("Discard for good").click()
    expect(useless).to_have_count(0)
    expect(letter).to_have_count(0)
    jobs.shop.drain()
    assert jobs.ended(id)["status"] == "Completed"
    assert bus.dead() == []


@pytest.fixture
def guarded(open_shop):
    """The app on a host that asks for keys."""
    return open_shop(enable_auth=True, DEVHOST_FUNCTION_KEY=FUNCTION_KEY, DEVHOST_MASTER_KEY=ADMIN_KEY)


def test_keys_open_what_they_are_for(guarded, visit):
    seen = visit(guarded, viewport=PHONE)
    asks = seen.page.locator("#key")
    expect(asks).to_contain_text("This host asks for a key")
    seen.photograph("key")
    seen.enter_key("wrong-key-of-the-test")
    expect(asks).to_contain_text("That key was not accepted")
    seen.enter_key(FUNCTION_KEY)
    expect(asks).to_be_hidden()
    expect(seen.page.locator("#freshness")).to_contain_text("Up to date")
    for tab in ("Approvals", "Schedules", "Queues"):
        seen.open_tab(tab)
        expect(seen.page.locator("#freshness")).to_contain_text("Up to date")
        expect(seen.page.get_by_role("tabpanel").locator(".note")).to_be_hidden()
        seen.assert_fits()
    seen.open_tab("Dead letters")
    expect(seen.page.get_by_role("tabpanel")).to_contain_text("Dead letters need the admin key")
    seen.enter_key(ADMIN_KEY)
    expect(seen.page.get_by_role("tabpanel")).to_contain_text("No dead letters")
    seen.page.reload()
    expect(seen.page.locator("#freshness")).to_contain_text("Up to date")
    assert seen.page.evaluate("() => localStorage.length + document.cookie.length") == 0
    seen.button("Key").click()
    seen.button("Forget the key").click()
    expect(asks).to_contain_text("This host asks for a key")
