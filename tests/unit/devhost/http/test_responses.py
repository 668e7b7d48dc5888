"""What a function's result becomes on the wire."""

from __future__ import annotations

from http.cookies import SimpleCookie

import azure.functions as func
import pytest
from azure.functions.http import HttpResponseConverter
from azure.functions.meta import Datum

from devhost.http.responses import to_response


def of(value):
    return to_response(HttpResponseConverter.encode(value, expected_type=None))


def test_no_result_is_an_empty_200():
    response = to_response(None)
    assert (response.status, response.body) == (200, None)


def test_a_response_keeps_status_headers_and_body():
    response = of(func.HttpResponse(b"\x00\xff", status_code=418, headers={"X-A": "1"}, mimetype="image/png"))
    assert (response.status, response.body) == (418, b"\x00\xff")
    assert response.headers["X-A"] == "1"
    assert response.headers["Content-Type"] == "image/png"


def test_text_types_get_a_charset():
    assert of(func.HttpResponse("x")).headers["Content-Type"] == "text/plain; charset=utf-8"
    assert of(func.HttpResponse("x", mimetype="text/csv")).headers["Content-Type"] == "text/csv; charset=utf-8"


def test_cookies_are_all_kept():
    cookies = [SimpleCookie("a=1; Path=/"), SimpleCookie("b=2; HttpOnly")]
    value = {"status_code": Datum("200", "string"), "headers": {}, "cookies": cookies, "body": Datum(b"", "bytes")}
    sent = to_response(Datum(value, "http")).headers.getall("Set-Cookie")
    assert sent == ["a=1; Path=/", "b=2; HttpOnly"]


def test_framing_headers_are_the_servers_business():
    response = of(func.HttpResponse("abc", headers={"Content-Length": "7", "Transfer-Encoding": "chunked"}))
    assert "Transfer-Encoding" not in response.headers and response.headers.get("Content-Length") in (None, "3")


@pytest.mark.parametrize(
    ("text", "body"),
    [
        ("plain", "plain"),
        ("", ""),
        ("true", "True"),
        ("12", "12"),
        ("null", ""),
        ('"quoted"', "quoted"),
        ('{"a":1}', '{\n  "a": 1\n}'),
        ("[1,2]", "[\n  1,\n  2\n]"),
        ("{broken", "{broken"),
        ("NaN", "NaN"),
        ("[" * 100_000, "[" * 100_000),
    ],
)
def test_text_is_parsed_as_json_if_it_can_be(text, body):
    response = of(text)
    assert (response.status, response.body.decode()) == (200, body)
    assert response.headers["Content-Type"] == "text/plain; charset=utf-8"


def test_an_object_with_a_body_is_a_whole_response():
    response = of('{"status": 202, "headers": {"X-A": 1}, "body": {"b": 2}}')
    assert (response.status, response.headers["X-A"]) == (202, "1")
    assert response.headers["Content-Type"] == "application/json; charset=utf-8"
    assert response.body == b'{\n  "b": 2\n}'
    assert of('{"statusCode": "404", "body": "gone"}').status == 404


@pytest.mark.parametrize("status", [0, 100, 99, 600, 1000])
def test_what_is_no_status_cannot_be_sent(status):
    with pytest.raises(ValueError, match="status"):
        of(func.HttpResponse("x", status_code=status))


def test_a_line_break_in_a_header_cannot_be_sent():
    value = {
        "status_code": Datum("200", "string"),
        "headers": {"X-A": Datum("1\r\nX-B: 2", "string")},
        "cookies": None,
        "body": Datum(b"", "bytes"),
    }
    with pytest.raises(ValueError, match="line break"):
        to_response(Datum(value, "http"))


def test_no_body_goes_with_204():
    assert of(func.HttpResponse("x", status_code=204)).body is None
