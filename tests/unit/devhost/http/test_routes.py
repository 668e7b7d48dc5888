"""ASP.NET route templates against what ASP.NET matches (functions-host.md §3)."""

from __future__ import annotations

import pytest

from devhost.http.routes import Route, RouteError, check_route, decode_path


@pytest.mark.parametrize(
    ("template", "path", "expected"),
    [
        ("api/orders", "/api/orders", {}),
        ("api/orders", "/API/Orders", {}),
        ("api/orders", "/api/orders/", {}),
        ("api/orders", "/api//orders", None),
        ("api/orders", "/api/orders/1", None),
        ("orders/{id}", "/orders/A-1", {"id": "A-1"}),
        ("orders/{id}", "/orders", None),
        ("orders/{id?}", "/orders", {}),
        ("orders/{id?}", "/orders/7", {"id": "7"}),
        ("{a}/{b?}/{c?}", "/1", {"a": "1"}),
        ("{a}/{b?}/{c?}", "/1/2/3", {"a": "1", "b": "2", "c": "3"}),
        ("{a?}", "/", {}),
        ("orders/{id=none}", "/orders", {"id": "none"}),
        ("orders/{id=none}", "/orders/7", {"id": "7"}),
        ("{a=1}/{b=2}", "/", {"a": "1", "b": "2"}),
        ("files/{*path}", "/files/a/b/c.txt", {"path": "a/b/c.txt"}),
        ("files/{**path}", "/files/a/b", {"path": "a/b"}),
        ("files/{*path}", "/files", {}),
        ("{name}.json", "/a.b.json", {"name": "a.b"}),
        ("{name}.{ext?}", "/photo", {"name": "photo"}),
        ("{name}.{ext?}", "/photo.png", {"name": "photo", "ext": "png"}),
        ("{from}-{to}", "/a-b-c", {"from": "a-b", "to": "c"}),
        ("{{literal}}/x", "/{literal}/x", {}),
        ("orders/{id:int:min(5)}", "/orders/7", {"id": "7"}),
        ("orders/{id:int:min(5)}", "/orders/4", None),
        ("orders/{id:int?}", "/orders", {}),
        ("orders/{id:int?}", "/orders/x", None),
        ("codes/{c:regex(^\\d{{3}}$)}", "/codes/123", {"c": "123"}),
        ("codes/{c:regex(^\\d{{3}}$)}", "/codes/1234", None),
        ("codes/{c:regex(^a:b$)}", "/codes/a:b", {"c": "a:b"}),
        ("a.b/{x}", "/aXb/1", None),
    ],
)
def test_what_a_template_matches(template, path, expected):
    assert Route(template).match(path) == expected


@pytest.mark.parametrize(
    "template",
    [
        "a/{",
        "a/}",
        "a//b",
        "{}",
        "{a}/{A}",
        "{*rest}/b",
        "x{*rest}",
        "{a:nonsense}",
        "{a:int(3)}",
        "{a:length(x)}",
        "a?",
        "x{a?}",
        "{a}.{b?}c",
    ],
)
def test_what_is_no_template(template):
    with pytest.raises(RouteError, match="not valid"):
        Route(template)


@pytest.mark.parametrize(("route", "prefix"), [("admin/x", ""), ("Runtime", ""), ("x", "admin")])
def test_the_host_keeps_its_own_addresses(route, prefix):
    with pytest.raises(RouteError, match="conflicts"):
        check_route(route, prefix)


def test_under_a_prefix_any_route_is_free():
    check_route("admin/x", "api")


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("/a%20b/%C3%A9", "/a b/é"),
        ("/a%2Fb/c", "/a%2Fb/c"),
        ("/a%2fb", "/a%2Fb"),
        ("/a/./b/../c", "/a/c"),
        ("/../../etc/passwd", "/etc/passwd"),
        ("/%2e%2e/x", "/x"),
        ("/%FF", "/%FF"),
        ("/a%00b", None),
        ("/a%zz", "/a%zz"),
        ("/\udcff", "/\ufffd"),
    ],
)
def test_paths_are_decoded_as_kestrel_does(raw, expected):
    assert decode_path(raw) == expected
