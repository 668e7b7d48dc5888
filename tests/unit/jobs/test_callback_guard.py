"""Where the app calls nobody back: addresses that are not public, however they are written or a name leads to them."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from threading import Event

import aiohttp
import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver

from jobs import callback_guard
from jobs.callback_guard import CallbackRefusedError, check, is_public
from jobs.settings import settings

pytestmark = pytest.mark.anyio

PUBLIC = (
    "1.1.1.1",
    "93.184.216.34",
    "172.32.0.1",
    "100.128.0.1",
    "192.169.0.1",
    "2606:4700::1111",
    "2a00:1450:4001:830::200e",
    "::ffff:1.1.1.1",
    "64:ff9b::1.1.1.1",
)
PRIVATE = (
    *("0.0.0.0", "0.1.2.3", "127.0.0.1", "127.255.255.254"),
    *("10.0.0.1", "10.255.255.255", "172.16.0.1", "172.31.255.255", "192.168.0.1", "192.168.255.255"),
    *("100.64.0.1", "100.127.255.255", "100.100.100.200"),
    *("169.254.0.1", "169.254.169.254", "169.254.170.2", "168.63.129.16"),
    *("192.0.0.1", "192.0.0.192", "192.0.2.1", "198.51.100.1", "203.0.113.1", "198.18.0.1", "198.19.255.255"),
    *("192.88.99.1", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255"),
    *("::", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::ffff:0:0", "::127.0.0.1"),
    *("fc00::1", "fd00::1", "fd00:ec2::254", "fe80::1", "fe80::1%eth0", "febf::1", "fec0::1", "ff02::1", "ff0e::1"),
    *("2001:db8::1", "2001::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:10::1", "2001:20::1", "3fff::1"),
    *("2002:7f00:1::", "2002:a00:1::1", "2002:a9fe:a9fe::1", "2002:101:101::1"),
    *("64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b::10.0.0.1", "64:ff9b:1::1", "100::1", "5f00::1", "4000::1"),
    *("2606:4700::1111%eth0", "not an address", ""),
)
URLS = {
    # In whatever spelling a resolver may take for an IPv4 address.
    "a user of http": "http://1.1.1.1/",
    "loopback": "https://127.0.0.1/",
    "metadata": "https://169.254.169.254/metadata/instance",
    "decimal": "https://2130706433/",
    "decimal, public": "https://16843009/",
    "octal": "https://0177.0.0.1/",
    "octal, whole": "https://017700000001/",
    "hexadecimal": "https://0x7f000001/",
    "hexadecimal, parts": "https://0x7f.0x0.0x0.0x1/",
    "short": "https://127.1/",
    "short, hexadecimal": "https://0x7f.1/",
    "a dot behind": "https://127.0.0.1./",
    "two dots behind": "https://example.com../",
    "a leading zero": "https://127.0.0.01/",
    "too large": "https://256.1.1.1/",
    "five parts": "https://1.1.1.1.1/",
    "zero": "https://0/",
    "mapped": "https://[::ffff:7f00:1]/",
    "mapped, dotted": "https://[::ffff:127.0.0.1]/",
    "a zone": "https://[fe80::1%25eth0]/",
    "ULA": "https://[fd00:ec2::254]/",
    "future": "https://[v1.x]/",
    # Tricks with names.
    "fullwidth": "https://１２７.0.0.1/",
    "ideographic dots": "https://127。0。0。1/",
    "circled": "https://ⓛocalhost/",
    "soft hyphen": "https://exam\u00adple.com/",
    "escaped": "https://%31%32%37.0.0.1/",
    "an escaped slash": "https://127.0.0.1%2f@example.com/",
    "an escaped NUL": "https://example.com%00.evil.example/",
    "a user": "https://example.com@127.0.0.1/",
    "a user and a password": "https://user:secret@example.com/",
    "an empty user": "https://@example.com/",
    "a backslash": "https://example.com\\@127.0.0.1/",
    "backslashes": "https:\\\\example.com\\",
    "a blank": "https://example.com/a b",
    "a line": "https://example.com/\r\nX-Evil: 1",
    "a tab": "https://exam\tple.com/",
    "no host": "https:///path",
    "no host but a port": "https://:443/",
    "an empty label": "https://example..com/",
    "a long label": f"https://{'a' * 64}.example/",
    "a long name": f"https://{'a.' * 130}example/",
    # Other URLs.
    "no scheme": "example.com/hook",
    "no scheme, but slashes": "//example.com/hook",
    "file": "file:///etc/passwd",
    "ftp": "ftp://example.com/",
    "gopher": "gopher://127.0.0.1:6379/_x",
    "javascript": "javascript:alert(1)",
    "unix": "http+unix://%2Fvar%2Frun%2Fdocker.sock/",
    "port 0": "https://example.com:0/",
    "port 65536": "https://example.com:65536/",
    "two ports": "https://example.com:80:90/",
    "a port that is none": "https://example.com:http/",
    "brackets": "https://[::1/",
    "too long": "https://example.com/" + "x" * 1981,
    "nothing": "",
}


@pytest.fixture(autouse=True)
def nobody_is_allowed(monkeypatch) -> Iterator[None]:
    monkeypatch.delenv("CALLBACK_ALLOWED_HOSTS", raising=False)
    settings.cache_clear()
    yield
    settings.cache_clear()


@pytest.fixture
def allow(monkeypatch):
    def allow_hosts(hosts: str) -> None:
        monkeypatch.setenv("CALLBACK_ALLOWED_HOSTS", hosts)
        settings.cache_clear()

    return allow_hosts


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_one(address):
    assert is_public(address)
    host = f"[{address}]" if ":" in address else address
    assert check(f"https://{host}/hook").host


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_that_is_not_public_is_refused(address):
    assert not is_public(address)
    with pytest.raises(ValueError, match="must"):
        check(f"https://[{address}]/" if ":" in address else f"https://{address}/")


@pytest.mark.parametrize("url", URLS.values(), ids=URLS)
def test_a_url_that_is_a_trick_is_refused_at_once(url):
    with pytest.raises(ValueError, match="must") as caught:
        check(url)
    # It may hold a token.
    assert "example" not in str(caught.value).replace("shop.example", "")


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com",
        "https://EXAMPLE.com:8443/a/b?token=x%20y#z",
        "https://example.com./",
        "https://xn--bcher-kva.example/",
        "https://a_b.example-c.com/",
        "https://localhost/judged-when-it-connects",
        "https://1.1.1.1.example.com/",
        "https://example.com/?to=@127.0.0.1",
        "https://example.com/" + "x" * 1980,
    ],
)
def test_what_may_be_good_is_judged_when_it_connects(url):
    assert check(url).scheme == "https"


def test_hosts_that_are_allowed_may_be_private_and_without_tls(allow):
    allow("127.0.0.1,Receiver:8080 [::1]:9000")
    for good in ("http://127.0.0.1:1/", "https://127.0.0.1/", "http://receiver:8080/", "http://[::1]:9000/"):
        check(good)
    for bad in (
        "http://127.0.0.2/",
        "http://receiver/",
        "http://receiver:8081/",
        "https://[::1]/",
        "http://x@127.0.0.1/",
    ):
        with pytest.raises(ValueError, match="must"):
            check(bad)


class Answers(AbstractResolver):
    """A resolver whose answers are told to it, one after the other; the last one stays."""

    def __init__(self, *answers: list[str]) -> None:
        self._answers = list(answers)
        self.asked: list[str] = []

    async def resolve(self, host: str, port: int = 0, family: int = 0):
        self.asked.append(host)
        addresses = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        about = {"hostname": host, "port": port, "proto": 0, "flags": socket.AI_NUMERICHOST}
        return [
            about | {"host": each, "family": socket.AF_INET6 if ":" in each else socket.AF_INET} for each in addresses
        ]

    async def close(self) -> None:
        return


@pytest.fixture
async def receiver() -> AsyncIterator[tuple[int, list[str]]]:
    """A server on this machine: its port, and the requests that it got."""
    seen: list[str] = []

    async def see(request: web.Request) -> web.Response:
        seen.append(request.headers["Host"])
        return web.Response()

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", see)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield site._server.sockets[0].getsockname()[1], seen
    await runner.cleanup()


async def ask(url: str, monkeypatch, resolver: Answers) -> int:
    monkeypatch.setattr(callback_guard, "ThreadedResolver", lambda *_: resolver)
    async with aiohttp.ClientSession(connector=callback_guard.connector()) as session, session.post(url) as answer:
        return answer.status


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"],
        ["1.1.1.1", "127.0.0.1"],
        ["127.0.0.1", "1.1.1.1"],
        ["2606:4700::1111", "::ffff:127.0.0.1"],
        ["169.254.169.254"],
    ],
)
async def test_a_name_that_leads_to_this_machine_gets_no_request(monkeypatch, receiver, addresses):
    port, seen = receiver
    with pytest.raises(CallbackRefusedError):
        await ask(f"http://hook.example:{port}/", monkeypatch, Answers(addresses))
    assert seen == []


async def test_a_name_that_leads_elsewhere_each_time_it_is_asked_for_gets_no_request(monkeypatch, receiver):
    port, seen = receiver
    rebinding = Answers(["1.1.1.1"], ["127.0.0.1"])
    guarded = callback_guard.GuardedResolver(rebinding)
    assert [each["host"] for each in await guarded.resolve("hook.example", port)] == ["1.1.1.1"]
    with pytest.raises(CallbackRefusedError):
        await ask(f"http://hook.example:{port}/", monkeypatch, rebinding)
    assert (rebinding.asked, seen) == (["hook.example"] * 2, [])


async def test_the_address_that_was_judged_is_the_one_that_is_connected_to(monkeypatch, receiver, allow):
    """Were the name looked up once more for the connection, the second answer would be taken."""
    port, seen = receiver
    allow(f"hook.example:{port}")
    rebinding = Answers(["127.0.0.1"], ["192.0.2.1"])
    assert await ask(f"http://hook.example:{port}/", monkeypatch, rebinding) == 200
    assert (rebinding.asked, seen) == (["hook.example"], [f"hook.example:{port}"])


async def test_the_operating_systems_answer_is_judged(receiver):
    port, seen = receiver
    async with aiohttp.ClientSession(connector=callback_guard.connector()) as session:
        with pytest.raises(CallbackRefusedError):
            await session.post(f"http://localhost:{port}/")
    assert seen == []


async def test_a_neighbour_on_the_same_wire_is_not_public(monkeypatch):
    found = (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("fe80::1", 443, 0, 1))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [found])
    async with aiohttp.ClientSession(connector=callback_guard.connector()) as session:
        with pytest.raises(CallbackRefusedError):
            await session.post("https://hook.example/")


async def test_a_name_server_that_does_not_answer_holds_up_callbacks_only(monkeypatch):
    """Storage's names are looked up in the loop's own threads, and so is the mail server's."""
    over = Event()

    def hang(host, *_, **__):
        over.wait(2)
        raise socket.gaierror

    with monkeypatch.context() as patched:
        patched.setattr(socket, "getaddrinfo", hang)
        connector = callback_guard.connector()
        async with aiohttp.ClientSession(connector=connector) as session:
            waiting = [asyncio.create_task(session.post(f"http://{number}.example/")) for number in range(40)]
            await asyncio.sleep(0)
            others = asyncio.get_running_loop().run_in_executor(None, lambda: over.is_set())
            was_over = await others
            over.set()
            await asyncio.gather(*waiting, return_exceptions=True)
    assert not was_over
