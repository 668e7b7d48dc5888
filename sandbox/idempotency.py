"""What the sandbox's services have in common: they say no in words, and book once for each Idempotency-Key."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from sandbox.models import Body


class RefusedError(Exception):
    """A service says no. `status` is the HTTP status, `code` a stable word for programs, the text is for people."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that booked something: it is given again to whoever repeats the request with its key."""

    status: int
    body: dict[str, Any]


@dataclass(slots=True)
class Answers:
    """The answers given so far, by key. Only a booking is remembered: a refusal books nothing, so its key stays free
    and the next request is judged afresh.
    """

    _given: dict[str, tuple[str, Answer]] = field(default_factory=dict)

    def once(self, key: str, request: Body, book: Callable[[], Answer]) -> Answer:
        """Book, or give the answer again. Raises RefusedError (422) when the key was used for another request."""
        # A digest tells two bodies apart without keeping the card.
        digest = sha256(f"{type(request).__name__}{request.model_dump_json()}".encode()).hexdigest()
        if key in self._given:
            known, answer = self._given[key]
            if known != digest:
                raise RefusedError(
                    422, "key_reused", f"Idempotency-Key {key!r} was used for another request; take a new key"
                )
            return answer
        answer = book()
        self._given[key] = (digest, answer)
        return answer
