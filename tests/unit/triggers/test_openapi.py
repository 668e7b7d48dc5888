"""The API's description says what the doors do."""

from __future__ import annotations

import json

import pytest

from jobs.catalog import KINDS
from tests.unit.triggers.doors import ask, content, functions
from triggers.openapi import describe

pytestmark = pytest.mark.anyio


async def test_it_is_served():
    answer = await ask("openapi")
    assert (answer.status_code, content(answer)["openapi"]) == (200, "3.1.0")


def test_every_kind_and_every_route_is_described():
    paths = describe()["paths"]
    assert {f"/api/jobs/{kind}" for kind in KINDS} <= set(paths)
    for function in functions().values():
        for binding in function.get_bindings_dict()["bindings"]:
            if binding["type"] == "httpTrigger" and binding["route"] not in ("jobs/{kind}", "openapi.json"):
                operation = paths[f"/api/{binding['route']}"]
                assert {str(method).lower() for method in binding["methods"]} <= set(operation)


def test_every_reference_leads_somewhere():
    description = describe()
    text = json.dumps(description)
    names = {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert names <= set(description["components"]["schemas"])
    assert {"OrderInput", "Customer", "OrderLine", "Status", "Problem"} <= names


def test_a_job_whose_input_says_its_id_needs_no_key():
    paths = describe()["paths"]
    about = {kind: {each["name"]: each for each in paths[f"/api/jobs/{kind}"]["post"]["parameters"]} for kind in KINDS}
    assert "the input says" in about["sales-report"]["Idempotency-Key"]["description"]
    assert "the input says" not in about["order"]["Idempotency-Key"]["description"]
    assert {named["notBefore"]["schema"]["format"] for named in about.values()} == {"date-time"}


def test_the_schema_is_the_one_that_is_checked():
    schema = describe()["components"]["schemas"]["OrderInput"]
    assert schema["additionalProperties"] is False
    assert set(schema["required"]) == {"customer", "card", "currency", "lines"}
