"""The HTTP API's contract: what each call answers, and that the published description says the same."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

import pytest
from openapi_spec_validator import validate

from tests.integration.jobs_seen import fresh


def assert_problem(answer, status: int, described=None) -> dict:
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    problem = answer.json()
    assert problem["status"] == status and problem["type"] and problem["title"] and problem["detail"]
    if described:
        described("Problem", problem)
    return problem


def test_a_new_job_is_accepted_and_says_where_to_look(jobs, described):
    id = fresh("new")
    jobs.sandbox.fault({"when": {"customer": id}, "fault": "throttle", "times": 1})
    before = datetime.now(UTC)
    answer = jobs.submit(id)
    assert (answer.status_code, answer.headers["Location"]) == (202, f"/api/jobs/order/{id}")
    assert int(answer.headers["Retry-After"]) > 0
    body = answer.json()
    described("Status", body)
    assert (body["kind"], body["id"], body["status"]) == ("order", id, "Pending")
    assert before <= datetime.fromisoformat(body["submittedAt"]) <= datetime.now(UTC)
    jobs.shop.drain()
    running = jobs.shop.get(answer.headers["Location"]).json()
    described("Status", running)
    assert (running["status"], running["progress"]) == ("Running", {"percent": 20, "step": "charge_payment"})
    assert running["startedAt"] and running["completedAt"] is None
    jobs.shop.advance(minutes=1)
    done = jobs.ended(id)
    described("Status", done)
    assert done["submittedAt"] <= done["startedAt"] <= done["completedAt"]


def test_without_an_id_each_submission_is_a_job_of_its_own(shop):
    first, second = (shop.post("/api/jobs/analytics", json={"event": "seen"}) for _ in range(2))
    assert first.status_code == second.status_code == 202
    assert first.json()["id"] != second.json()["id"]
    shop.drain()
    assert shop.get(first.headers["Location"]).json()["status"] == "Completed"


def test_every_end_is_as_described_and_shows_no_management_url(jobs, described):
    fates = {fate: fresh(fate) for fate in ("sold", "declined", "stuck", "cancelled")}
    for fate, operation, fault in (
        ("declined", "authorize", "decline"),
        ("stuck", "charge", "drop_after"),
        ("stuck", "refund", "decline"),
        ("cancelled", "authorize", "throttle"),
    ):
        jobs.sandbox.fault({"when": {"customer": fates[fate], "operation": operation}, "fault": fault})
    for id in fates.values():
        jobs.submit(id)
    jobs.shop.drain()
    jobs.shop.post(f"/api/jobs/order/{fates['cancelled']}/cancel")
    jobs.shop.advance(minutes=10)
    for id in fates.values():
        answer = jobs.shop.get(f"/api/jobs/order/{id}")
        described("Status", answer.json())
        assert "webhooks" not in answer.text and "code=" not in answer.text
    assert jobs.ended(fates["stuck"])["error"]["openCompensations"] == ["refund_payment"]


class TestPreferWait:
    """`Prefer: wait=N` answers when the job has ended, or after N seconds."""

    def test_until_the_end(self, jobs):
        id = fresh("wait")
        answer = jobs.submit(id, Prefer="wait=30")
        assert (answer.status_code, answer.json()["status"]) == (200, "Completed")
        assert answer.headers["Preference-Applied"] == "wait=30"
        assert answer.json()["result"]["total"]

    def test_no_longer_than_asked(self, jobs):
        id = fresh("wait")
        jobs.sandbox.fault({"when": {"customer": id}, "fault": "throttle", "retryAfter": 60})
        answer = jobs.submit(id, Prefer="respond-async, wait=1")
        assert (answer.status_code, answer.headers["Location"]) == (202, f"/api/jobs/order/{id}")
        assert answer.headers["Preference-Applied"] == "wait=1"
        assert answer.json()["status"] == "Running"

    def test_no_longer_than_a_minute(self, jobs):
        answer = jobs.submit(fresh("wait"), {"event": "seen"}, kind="analytics", Prefer="wait=86400")
        assert (answer.status_code, answer.headers["Preference-Applied"]) == (200, "wait=60")

    def test_what_it_does_not_understand_is_not_applied(self, jobs):
        with jobs.closed_doors():
            for preference in ("wait=-1", "wait=soon", "wait=", "handling=lenient"):
                answer = jobs.submit(fresh("wait"), {"event": "seen"}, kind="analytics", Prefer=preference)
                assert (answer.status_code, answer.headers.get("Preference-Applied")) == (202, None), preference


def test_each_wrong_field_is_named(jobs, described):
    input = jobs.order(fresh("wrong"))
    input["customer"] |= {"email": "nobody", "phone": "1"}
    input["lines"] = [{"sku": "lower case", "quantity": 0}, {"quantity": "2"}]
    del input["card"]
    problem = assert_problem(jobs.submit(fresh("wrong"), input), 400, described)
    assert {error["field"] for error in problem["errors"]} == {
        "customer.email",
        "customer.phone",
        "card",
        "lines.0.sku",
        "lines.0.quantity",
        "lines.1.sku",
        "lines.1.quantity",
    }
    assert all(error["field"] in problem["detail"] for error in problem["errors"])


def test_a_wrong_header_or_parameter_is_named(shop, described):
    for wrong, named in (
        ({"headers": {"Idempotency-Key": "a b"}}, "id"),
        ({"params": {"priority": "asap"}}, "priority"),
    ):
        answer = shop.post("/api/jobs/analytics", json={"event": "seen"}, **wrong)
        assert [error["field"] for error in assert_problem(answer, 400, described)["errors"]] == [named]


def test_what_does_not_exist_is_not_found(shop, described):
    assert_problem(shop.post("/api/jobs/no-such-kind", json={}), 404, described)
    for path in ("/api/jobs/no-such-kind/1", "/api/jobs/order/nobody", "/api/jobs?kind=no-such-kind"):
        assert_problem(shop.get(path), 404, described)


def test_the_largest_body_is_a_quarter_of_a_megabyte(jobs, described):
    id = fresh("large")
    mail = {"to": f"{id}@example.com", "subject": "s", "text": "é" * 100_000}
    assert jobs.submit(id, mail, kind="mail").status_code == 202  # 200 KB
    answer = jobs.submit(fresh("large"), mail | {"subject": "s" * 70_000}, kind="mail")
    assert "256 KB" in assert_problem(answer, 413, described)["detail"]
    jobs.shop.drain()
    assert jobs.mails(id)[0]["text"].count("é") == 100_000


class TestTheList:
    """`GET /jobs`: filters, and pages that lead on to one another."""

    @pytest.fixture
    def since(self) -> str:
        return datetime.now(UTC).isoformat()

    def pages(self, shop, **params) -> list[list[dict]]:
        """All pages, by the links that lead from one to the next."""
        pages, url = [], "/api/jobs"
        while url:
            page = shop.get(url, params=params).raise_for_status().json()
            pages.append(page["jobs"])
            assert ("next" in page) == ("continuationToken" in page)
            url, params = page.get("next"), None
        return pages

    def ids(self, shop, **params) -> list[str]:
        return [job["id"] for page in self.pages(shop, **params) for job in page]

    def test_pages_hold_each_job_once(self, since, jobs, described):
        ids = sorted(fresh("listed") for _ in range(7))
        for id in ids:
            jobs.submit(id, {"event": "listed"}, kind="analytics")
        jobs.shop.drain()
        pages = self.pages(jobs.shop, kind="analytics", since=since, top=3)
        assert len(pages) > 2 and max(map(len, pages)) == 3
        assert [job["id"] for page in pages for job in page] == ids
        for job in pages[0]:
            described("Status", job)
            assert job == jobs.status(job["id"], "analytics")

    def test_filters(self, since, jobs):
        sold, declined, event = fresh("sold"), fresh("declined"), fresh("event")
        jobs.sandbox.fault({"when": {"customer": declined}, "fault": "decline"})
        jobs.submit(sold)
        jobs.submit(declined)
        jobs.submit(event, {"event": "listed"}, kind="analytics")
        jobs.shop.drain()
        later = datetime.now(UTC).isoformat()

        def found(**params) -> list[str]:
            # Jobs of tests with a clock of their own are from days to come.
            return [id for id in self.ids(jobs.shop, **params) if id in (sold, declined, event)]

        assert found(since=since) == [event, declined, sold]
        assert found(since=since, kind="order") == [declined, sold]
        assert found(since=since, status="Completed") == [event, sold]
        assert found(since=since, kind="order", status="Failed") == [declined]
        assert found(since=since, status="Cancelled") == []
        assert found(since=later) == []
        assert set(found(top=1000)) == {sold, declined, event}

    def test_the_link_keeps_the_filters(self, since, jobs):
        for _ in range(2):
            jobs.submit(fresh("listed"), {"event": "listed"}, kind="analytics")
        page = jobs.shop.get("/api/jobs", params={"kind": "analytics", "since": since, "top": 1}).json()
        query = parse_qs(urlsplit(page["next"]).query)
        assert query == {
            "kind": ["analytics"],
            "since": [since],
            "top": ["1"],
            "continuationToken": [page["continuationToken"]],
        }

    def test_a_wrong_parameter_is_named(self, shop, described):
        for name, value in (
            ("status", "Sleeping"),
            ("since", "yesterday"),
            ("since", "2026-11-22T10:00:00+25:00"),
            ("top", "0"),
            ("top", "1001"),
            ("top", "many"),
            ("continuationToken", "made-up"),
            ("continuationToken", "bnVsbA=="),
        ):
            answer = shop.get("/api/jobs", params={name: value})
            assert name in assert_problem(answer, 400, described)["detail"]


def test_health_names_all_that_the_app_needs(no_alerts, shop):
    answer = shop.get("/api/health")
    body = answer.json()
    assert (answer.status_code, body["status"], body["missing"]) == (200, "ok", [])
    assert set(body["checks"]) >= {"table jobs", "container claims", "queue jobs", "payment gateway", "mail server"}


def test_health_is_degraded_without_the_gateway(open_shop):
    answer = open_shop(PAYMENT_GATEWAY_URL="http://127.0.0.1:9").get("/api/health")
    assert (answer.status_code, answer.json()["status"]) == (200, "degraded")
    assert answer.json()["missing"] == ["payment gateway"]


def test_the_description_is_valid_openapi_and_right_about_schedules(shop, described):
    schedules = shop.get("/api/schedules").json()["schedules"]
    assert {"nightly_sales_report", "nightly_retention", "watchdog"} <= {each["name"] for each in schedules}
    for schedule in schedules:
        described("Schedule", schedule)
    answer = shop.get("/api/openapi.json")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    validate(answer.json())


def test_a_short_poll_costs_little_when_nothing_has_changed(jobs, described):
    id = fresh("poll")
    jobs.submit(id)
    jobs.shop.drain()
    first = jobs.shop.get(f"/api/jobs/order/{id}?steps=true")
    described("Status", first.json())
    again = jobs.shop.get(first.url.path + "?steps=true", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert (again.headers["ETag"], again.headers["Cache-Control"]) == (first.headers["ETag"], "no-cache")


def test_the_newest_jobs_come_first(jobs, described):
    ids = [fresh("newest") for _ in range(3)]
    for id in ids:
        jobs.submit(id, {"event": "seen"}, kind="analytics")
    answer = jobs.shop.get("/api/jobs", params={"order": "newest", "kind": "analytics", "top": 3}).json()
    assert [job["id"] for job in answer["jobs"]] == ids[::-1]
    assert (answer["isCut"], "continuationToken" in answer) == (False, False)
    for job in answer["jobs"]:
        described("Status", job)
