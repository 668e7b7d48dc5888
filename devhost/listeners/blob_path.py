"""The path of a blob trigger: which blobs it means, and what their names say (functions-host.md §5)."""

from __future__ import annotations

import re

from devhost.errors import DevhostError

_TOKEN = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_TOKEN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_CONTAINER = re.compile(r"(?=.{3,63}$)[a-z0-9]+(-[a-z0-9]+)*|\$(root|web)")


class BlobPathError(DevhostError):
    """The path of a blob trigger that cannot be used."""


class BlobPath:
    """`container` (all of it), `container/name` or `container/{a}-{b}.txt`: each `{x}` takes as much as it can."""

    def __init__(self, text: str) -> None:
        """Raises BlobPathError."""
        self.text = text
        container, slash, name = text.partition("/")
        if "{" in container or "}" in container:
            raise BlobPathError(
                f"The blob path '{text}' has a token in its container.", "Only what follows the first '/' may have any."
            )
        self.container = container.lower()
        if not _CONTAINER.fullmatch(self.container):
            raise BlobPathError(
                f"The blob path '{text}' does not begin with the name of a container.",
                "A container's name has 3 to 63 lower-case letters, digits and single hyphens between them.",
            )
        if slash and not name:
            raise BlobPathError(f"The blob path '{text}' names no blob.", "Write container/{name}, or container alone.")
        self._names: list[str] = []
        self._pattern = re.compile(self._regex(name)) if slash else None

    def match(self, container: str, name: str) -> dict[str, str] | None:
        """What the tokens stand for in a blob that the path means; None for other blobs."""
        if container.lower() != self.container:
            return None
        if self._pattern is None:
            return {}
        found = self._pattern.fullmatch(name)
        return None if found is None else dict(zip(self._names, found.groups(), strict=True))

    def _regex(self, name: str) -> str:
        parts, end = [], 0
        for match in _TOKEN.finditer(name):
            parts.append(re.escape(name[end : match.start()]))
            parts.append(self._token(match))
            end = match.end()
        return "".join([*parts, re.escape(name[end:])])

    def _token(self, match: re.Match[str]) -> str:
        if match.group() in ("{{", "}}"):
            return re.escape(match.group()[0])
        token = match.group(1)
        if token is None:
            raise BlobPathError(
                f"The blob path '{self.text}' has a '{match.group()}' without its partner.",
                "Write {name} for a value, {{ and }} for braces.",
            )
        if not _TOKEN_NAME.fullmatch(token):
            raise BlobPathError(
                f"The blob path '{self.text}' has the token '{{{token}}}', which is no name.",
                "Use letters, digits and underscores, as in {name}.",
            )
        self._names.append(token)
        return "(.*)"
