"""The samples are what they say: good inputs that pass their models, and bad ones that do not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from activities.articles import Article
from jobs import import_file, import_rows
from jobs.errors import InvalidInputError, NotAJobError
from jobs.inputs import AnalyticsInput, ApprovalInput, MailInput, OrderInput, RefundInput
from jobs.job import open_envelope, parse

SAMPLES = Path(__file__).parents[3] / "samples"
ORDERS = sorted(SAMPLES.glob("orders/*.json"))
ARTICLES = [Article.model_validate(article) for article in json.loads((SAMPLES / "stock.json").read_text())]


def test_there_are_enough():
    assert len(ORDERS) >= 12
    assert len({article.sku for article in ARTICLES}) == len(ARTICLES) >= 8


@pytest.mark.parametrize("path", ORDERS, ids=lambda path: path.stem)
def test_an_order_is_good_and_of_articles_that_the_shop_sells(path):
    order = OrderInput.model_validate_json(path.read_text())
    assert {line.sku for line in order.lines} <= {article.sku for article in ARTICLES}
    assert order.currency == "EUR"


def test_the_other_jobs_are_good():
    MailInput.model_validate_json((SAMPLES / "jobs/mail.json").read_text())
    AnalyticsInput.model_validate_json((SAMPLES / "jobs/analytics.json").read_text())
    ApprovalInput.model_validate_json((SAMPLES / "jobs/approval.json").read_text())
    for name in ("refund", "refund-too-large"):
        RefundInput.model_validate_json((SAMPLES / f"jobs/{name}.json").read_text())


def test_the_message_is_a_whole_job():
    job = parse(open_envelope(json.loads((SAMPLES / "jobs/message.json").read_text())))
    assert (job.kind.name, job.id) == ("order", "A-2001")


def test_the_bad_order_has_three_faults():
    with pytest.raises(ValidationError) as caught:
        OrderInput.model_validate_json((SAMPLES / "bad/order.json").read_text())
    assert {error["type"] for error in caught.value.errors()} == {"missing", "extra_forbidden", "int_type"}


@pytest.mark.parametrize(("name", "bad"), [("orders.csv", [6, 13, 19]), ("orders.jsonl", [4, 12, 17])])
def test_files_of_orders_have_seventeen_good_rows_and_three_bad(name, bad):
    content = (SAMPLES / "imports" / name).read_bytes()
    scanner = import_file.Scanner(rows_per_chunk=500)
    scanner.feed(content)
    plan = scanner.finish()
    good, found = [], []
    for record in import_file.records(plan, plan.chunks[0], content[plan.chunks[0].offset :]):
        try:
            good.append(import_rows.read(plan, record, "0" * 16, "correlation", f"blob:order-imports/{name}"))
        except (InvalidInputError, NotAJobError):
            found.append(record.line)
    assert found == bad
    assert len(good) == 17
    assert {line.sku for job in good for line in job.input.lines} <= {article.sku for article in ARTICLES}


def test_a_readme_names_every_sample():
    """That of its own folder, if it has one, or else that of all of them."""
    unnamed = []
    for path in SAMPLES.rglob("*.*"):
        if path.name == "README.md" or "__pycache__" in path.parts:
            continue
        readme = path.parent / "README.md" if (path.parent / "README.md").exists() else SAMPLES / "README.md"
        if f"`{path.relative_to(readme.parent)}`" not in readme.read_text():
            unnamed.append(path)
    assert unnamed == []
