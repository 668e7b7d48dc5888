"""Reads what Event Grid posts to a webhook, in its own schema or as CloudEvents."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any
from urllib.parse import unquote, urlsplit

BLOB_CREATED = "Microsoft.Storage.BlobCreated"
_LONGEST_NAME = 1024
"""Characters of a blob's name, in Azure."""
_SHOWN = 200
_VALIDATION = "Microsoft.EventGrid.SubscriptionValidationEvent"


class EventError(Exception):
    """A request that holds no events; the text says why."""


@dataclass(frozen=True, slots=True)
class BlobEvent:
    """A blob was created or replaced."""

    container: str
    name: str
    etag: str
    """With its quotes."""
    blob_type: str


def read_events(body: bytes) -> list[Mapping[str, Any]]:
    """The events of a request: an array, or one alone. Raises EventError."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise EventError(f"The body is not JSON ({error}).") from None
    events = document if isinstance(document, list) else [document]
    if not events or not all(isinstance(event, Mapping) and type_of(event) for event in events):
        raise EventError("The body is no array of events, each with an eventType (CloudEvents: type).")
    return events


def type_of(event: Mapping[str, Any]) -> str:
    """The type of an event of either schema, "" if it has none."""
    return str(event.get("eventType") or event.get("type") or "")


def validation_code(events: list[Mapping[str, Any]]) -> str | None:
    """What is to be answered to the handshake of a new subscription; None if this is none. Raises EventError."""
    event = events[0]
    if type_of(event) != _VALIDATION:
        return None
    data = event.get("data")
    if isinstance(data, str):  # CloudEvents: JSON within the JSON
        try:
            data = json.loads(data)
        except (ValueError, RecursionError):
            data = None
    code = data.get("validationCode") if isinstance(data, Mapping) else None
    if not isinstance(code, str):
        raise EventError("The validation event has no data.validationCode.")
    return code


def blob_event(event: Mapping[str, Any]) -> BlobEvent:
    """The blob that an event of the type BLOB_CREATED is about. Raises EventError."""
    data = event.get("data")
    url = data.get("url") if isinstance(data, Mapping) else None
    if not isinstance(url, str):
        raise EventError("A BlobCreated event has no data.url.")
    container, name = _container_and_name(url)
    etag = str(data.get("eTag") or "").strip('"')
    return BlobEvent(container, name, f'"{etag}"', str(data.get("blobType") or "BlockBlob"))


def _container_and_name(url: str) -> tuple[str, str]:
    try:
        parts = urlsplit(url)
        path = parts.path.lstrip("/")
        if _is_path_style(parts.hostname or ""):
            path = path.partition("/")[2]
    except ValueError:
        path = ""
    container, _, name = path.partition("/")
    name = unquote(name)
    if not container or not name or len(name) > _LONGEST_NAME or not _is_text(path):
        raise EventError(f"{ascii(url[:_SHOWN])} is not the address of a blob.")
    return container, name


def _is_text(text: str) -> bool:
    """Whether it can be written as UTF-8: half a character, which JSON may hold, cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_path_style(host: str) -> bool:
    """Whether a blob's address begins with the account's name, as on Azurite."""
    if host == "localhost":
        return True
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
