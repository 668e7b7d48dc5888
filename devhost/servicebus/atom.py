"""The Atom documents of the administration API: entries, feeds and errors (servicebus-amqp.md §10)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from devhost.servicebus.errors import ArgumentError

CONNECT = "http://schemas.microsoft.com/netservices/2010/10/servicebus/connect"
"""The namespace of descriptions."""
COUNTS = "http://schemas.microsoft.com/netservices/2011/06/servicebus"
"""The namespace of message counts."""
INSTANCE = "http://www.w3.org/2001/XMLSchema-instance"

_ATOM = "http://www.w3.org/2005/Atom"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def read_entry(body: bytes) -> Element:
    """The description inside an entry. Raises ArgumentError.

    A document type is refused: nobody needs one here, and entities declared in it could be made to grow without end
    (expat bounds that too, whatever the encoding).
    """
    if b"<!DOCTYPE" in body:
        raise ArgumentError("The body holds a document type; send a plain Atom entry.")
    try:
        entry = ElementTree.fromstring(body)
    except ElementTree.ParseError as error:
        raise ArgumentError(f"The body is no XML ({error}). Send an Atom entry with a description in it.") from None
    content = entry.find(f"{{{_ATOM}}}content")
    if content is None or len(content) != 1:
        raise ArgumentError("The body is no Atom entry whose content is one description.")
    return content[0]


def entry_bytes(entry: Element) -> bytes:
    """An entry or a feed as the body of an answer."""
    return ElementTree.tostring(entry, encoding="utf-8", xml_declaration=True)


def make_entry(address: str, title: str, created_at: int, updated_at: int, description: Element) -> Element:
    """An entry with a description in it. Moments in ms since 1970."""
    entry = Element(f"{{{_ATOM}}}entry")
    _add(entry, "id", address)
    _add(entry, "title", title)
    _add(entry, "published", format_moment(created_at))
    _add(entry, "updated", format_moment(updated_at))
    SubElement(entry, f"{{{_ATOM}}}link", rel="self", href=address)
    SubElement(entry, f"{{{_ATOM}}}content", type="application/xml").append(description)
    return entry


def make_feed(address: str, next_address: str | None, entries: Iterable[Element], now: int) -> Element:
    """A page of entries. A second link means that there is a next page, which is how the client tells."""
    feed = Element(f"{{{_ATOM}}}feed")
    _add(feed, "id", address)
    _add(feed, "updated", format_moment(now))
    SubElement(feed, f"{{{_ATOM}}}link", rel="self", href=address)
    if next_address is not None:
        SubElement(feed, f"{{{_ATOM}}}link", rel="next", href=next_address)
    feed.extend(entries)
    return feed


def error_bytes(status: int, detail: str) -> bytes:
    """An error as the body of an answer."""
    error = Element("Error")
    SubElement(error, "Code").text = str(status)
    SubElement(error, "Detail").text = detail
    return ElementTree.tostring(error, encoding="utf-8", xml_declaration=True)


def format_moment(milliseconds: int) -> str:
    """Ms since 1970 as `2026-11-22T05:00:00.000Z`."""
    moment = _EPOCH + timedelta(milliseconds=milliseconds)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _add(parent: Element, name: str, text: str) -> None:
    SubElement(parent, f"{{{_ATOM}}}{name}").text = text


# The prefixes that the service writes; a client that goes by them finds what it looks for.
ElementTree.register_namespace("i", INSTANCE)
ElementTree.register_namespace("d2p1", COUNTS)
