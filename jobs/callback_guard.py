"""The guard of callbacks: which URLs may be called back, and to which addresses a connection may be opened.

A URL is judged when it is submitted, as far as it says where it leads. To what addresses a name leads is judged each
time that a connection is opened, by the resolver whose answer the connection then uses: a name that led elsewhere a
moment before gains nothing by it.
"""

from __future__ import annotations

import asyncio
import re
import socket
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

from aiohttp import TCPConnector, ThreadedResolver
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from jobs.errors import PermanentError
from jobs.settings import settings

LONGEST_URL = 2000
"""Characters."""

GLOBAL_UNICAST = ip_network("2000::/3")
NOT_PUBLIC = tuple(
    map(
        ip_network,
        (
            "168.63.129.16/32",  # Azure's own services on each machine, though the address is a public one
            "192.0.0.0/24",  # IETF protocol assignments, among them metadata of Oracle's cloud
            "192.88.99.0/24",  # relays of 6to4
            "2001::/23",  # Teredo, and protocol assignments
            "2001:db8::/32",
            "2002::/16",  # 6to4: it leads to whatever IPv4 address is in it
            "3fff::/20",
        ),
    )
)
"""What Python's `ipaddress` (IANA's registries, as old as its release) may take for public, and is not for us."""
NAT64 = IPv6Network("64:ff9b::/96")
"""A network without IPv4 reaches an IPv4 address by it: the last 32 bits (RFC 6052)."""

_NAME = re.compile(r"(?=.{1,253}\.?$)([A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.)*[A-Za-z0-9_-]{1,63}\.?")
_LAST_IS_A_NUMBER = re.compile(r"(.*\.)?(0[xX][0-9a-fA-F]*|[0-9]+)\.?")
"""What resolvers take for an IPv4 address, in whatever spelling: `127.1`, `0x7f.1`, `2130706433`, `127.0.0.1.`."""


class CallbackRefusedError(PermanentError):
    """The callback URL leads where the app calls nobody back."""


def is_public(address: str) -> bool:
    """Whether an address (as `ipaddress` reads it) belongs to one host of the internet. What is none is not public."""
    try:
        ip = ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, IPv6Address):
        if inner := ip.ipv4_mapped or (IPv4Address(int(ip) & 0xFFFFFFFF) if ip in NAT64 else None):
            return is_public(str(inner))
        if ip.scope_id or ip not in GLOBAL_UNICAST:
            return False
    return (
        ip.is_global
        and not (ip.is_multicast or ip.is_reserved)
        and not any(ip in network for network in NOT_PUBLIC if network.version == ip.version)
    )


def check(url: str) -> URL:
    """The URL, if its shape is right and it does not say itself that it leads to where nobody is called back.

    The message of the ValueError that it raises names nothing of the URL, which may hold a token.
    """
    if len(url) > LONGEST_URL:
        raise ValueError(f"must have at most {LONGEST_URL} characters")
    if not re.fullmatch("[!-~]+", url) or "\\" in url:
        raise ValueError("must be plain ASCII without blanks: write other characters as %XX, other hosts as xn--…")
    try:
        parsed = URL(url)
        host, port = parsed.raw_host, parsed.explicit_port
    except ValueError:
        raise ValueError("must be a URL, as https://shop.example/hook") from None
    if parsed.scheme not in ("https", "http") or not host:
        raise ValueError("must be a URL that begins with https:// and names a host")
    # As it was written: the parser drops an empty user, and brackets around what is no address.
    authority = re.split("[/?#]", url.partition("://")[2], maxsplit=1)[0]
    if "@" in authority:
        raise ValueError("must hold no user and no password: put a token into its query")
    if port == 0:
        raise ValueError("must name a port from 1 to 65535, or none")
    if _is_allowed(host, parsed.port):
        return parsed
    if parsed.scheme != "https":
        raise ValueError("must begin with https://, unless CALLBACK_ALLOWED_HOSTS names its host")
    if "[" in authority or _LAST_IS_A_NUMBER.fullmatch(host):
        if not is_public(host):
            raise ValueError("must not lead to an address that is private, or none of four numbers or of IPv6")
    elif not _NAME.fullmatch(host):
        raise ValueError("must name a host of letters, digits, hyphens and dots")
    return parsed


def connector() -> TCPConnector:
    """Opens connections to public addresses only, or to hosts that are allowed. It keeps none and remembers no name.

    Check the URL first: of an address aiohttp asks no resolver.
    """
    return TCPConnector(resolver=GuardedResolver(ThreadedResolver(_Lookups())), use_dns_cache=False, force_close=True)


class _Lookups:
    """Looks names up in threads of their own, as a loop does in those that storage's names need, too.

    A thread is held for as long as a name server keeps silent, and who names the host chooses the name server.
    """

    async def getaddrinfo(self, host: str, port: int, **options: Any) -> list[Any]:
        look = partial(socket.getaddrinfo, host, port, **options)
        return await asyncio.get_running_loop().run_in_executor(_THREADS, look)

    async def getnameinfo(self, address: tuple[Any, ...], flags: int) -> tuple[str, str]:
        return await asyncio.get_running_loop().run_in_executor(_THREADS, socket.getnameinfo, address, flags)


_THREADS = ThreadPoolExecutor(16, thread_name_prefix="callback-names")


class GuardedResolver(AbstractResolver):
    """A resolver that answers with public addresses only. One that is not public spoils the whole answer."""

    def __init__(self, resolver: AbstractResolver) -> None:
        self._resolver = resolver

    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[ResolveResult]:
        """Raises CallbackRefusedError, and OSError when the name leads nowhere."""
        found = await self._resolver.resolve(host, port, family)
        if not _is_allowed(host, port) and not all(is_public(each["host"]) for each in found):
            raise CallbackRefusedError(
                "the callback's host leads to an address that is not public: name it in CALLBACK_ALLOWED_HOSTS if that "
                "is meant, and replay this delivery"
            )
        return found

    async def close(self) -> None:
        await self._resolver.close()


def _is_allowed(host: str, port: int | None) -> bool:
    """Whether CALLBACK_ALLOWED_HOSTS names it, as `host`, `host:port` or `[address]:port`."""
    plain = host.lower().removesuffix(".")
    bracketed = f"[{plain}]" if ":" in plain else plain
    return not {plain, bracketed, f"{bracketed}:{port}"}.isdisjoint(
        each.lower() for each in settings().callback_allowed_hosts
    )
