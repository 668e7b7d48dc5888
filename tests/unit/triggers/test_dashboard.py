"""The dashboard's door: one page that anybody may have, which loads nothing and runs nothing but its own."""

from __future__ import annotations

import base64
import re
from hashlib import sha256

import pytest

from tests.unit.triggers.doors import ask, functions

pytestmark = pytest.mark.anyio


def policy(answer) -> dict[str, str]:
    parts = (part.strip().partition(" ") for part in answer.headers["Content-Security-Policy"].split(";"))
    return {name: value for name, _, value in parts}


async def test_it_allows_its_own_script_and_style_and_nothing_else():
    answer = await ask("dashboard")
    assert (answer.status_code, answer.mimetype, answer.charset) == (200, "text/html", "utf-8")
    page, allowed = answer.get_body().decode(), policy(answer)
    for tag, directive in (("style", "style-src"), ("script", "script-src")):
        (text,) = re.findall(rf"<{tag}[^>]*>(.*?)</{tag}>", page, re.DOTALL)
        digest = base64.b64encode(sha256(text.encode()).digest()).decode()
        assert allowed[directive] == f"'sha256-{digest}'"
    assert allowed["default-src"] == allowed["base-uri"] == allowed["frame-ancestors"] == "'none'"
    assert allowed["form-action"] == allowed["trusted-types"] == "'none'"
    assert (allowed["connect-src"], allowed["img-src"]) == ("'self'", "data:")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "no-referrer"


async def test_it_refers_to_nothing_elsewhere_and_makes_no_markup_of_data():
    page = (await ask("dashboard")).get_body().decode()
    assert "{{style}}" not in page and "{{script}}" not in page
    assert {url for url in re.findall(r"(?:src|href)=[\"']([^\"'#]+)", page) if not url.startswith("data:")} == set()
    for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "localStorage", "cookie"):
        assert word not in page
    assert not re.search(r"\s(?:on[a-z]+|style)=[\"']", page)


async def test_it_needs_no_key_since_it_holds_no_data():
    bindings = functions()["dashboard"].get_bindings_dict()["bindings"]
    assert [binding["authLevel"].value for binding in bindings if binding["type"] == "httpTrigger"] == ["anonymous"]


async def test_who_has_it_is_not_sent_it_again():
    answer = await ask("dashboard")
    again = await ask("dashboard", headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status_code, again.get_body()) == (304, b"")
    assert again.headers["ETag"] == answer.headers["ETag"] and again.headers["Cache-Control"] == "no-cache"
    older = await ask("dashboard", headers={"If-None-Match": '"older"'})
    assert older.status_code == 200
