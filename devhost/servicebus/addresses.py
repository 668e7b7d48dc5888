"""What the addresses of links and tokens mean: URIs or bare paths, to the path of an entity."""

from __future__ import annotations

CBS = "$cbs"
_MANAGEMENT = "/$management"


def to_path(address: str) -> str:
    """The path in an address: `amqps://host:5672/queue`, `/queue/` and `queue` are all the same (§4)."""
    _, scheme_end, rest = address.partition("://")
    path = rest.partition("/")[2] if scheme_end else address
    return path.partition("?")[0].strip("/")


def managed_entity(path: str) -> str | None:
    """The entity whose management node this is; None if it is none."""
    return path[: -len(_MANAGEMENT)] if path.lower().endswith(_MANAGEMENT) else None


def covers(granted: str, path: str) -> bool:
    """Whether a right to one path is a right to another: itself and all below it. The empty path is the namespace."""
    granted, path = granted.lower(), path.lower()
    return not granted or path == granted or path.startswith(granted + "/")
