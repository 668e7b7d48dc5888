"""The id of a job whose kind takes it from the input, so that the same work asked for at two doors is one job.

An input whose `force` is true asks for the work once more: its job's id is `<natural id>.<key>`.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from pydantic import ValidationError

from jobs.catalog import KINDS, Kind
from jobs.errors import InvalidInputError
from jobs.inputs import LONGEST_ID, Input


def missing(fields: Mapping[str, Any], fallback: str) -> str:
    """The id of a job (`kind`, `input`) whose sender gave none.

    `fallback`: what tells this submission from others, and is the same when it comes again. It is the id for most
    kinds, and for an input that is not right, which is refused later.
    """
    kind = KINDS.get(str(fields.get("kind")))
    if kind is None or kind.id_of is None:
        return fallback
    try:
        input = kind.input_model.model_validate(fields.get("input", {}))
    except ValidationError:
        return fallback
    natural = kind.id_of(input)
    return f"{natural}.{sha256(fallback.encode()).hexdigest()[:8]}" if _is_forced(input) else natural


def settled(kind: Kind, input: Input, given: str) -> str:
    """The id that a job has when it was given this one. Raises InvalidInputError when it cannot have it."""
    if kind.id_of is None:
        return given
    natural = kind.id_of(input)
    if _is_forced(input):
        id = given if given.startswith(f"{natural}.") else f"{natural}.{given}"
        if len(id) > LONGEST_ID:
            raise _wrong(f"may have {LONGEST_ID - len(natural) - 1} characters: the job's id begins with {natural}")
        return id
    if given != natural:
        more = ", or ask for one more job with force" if "force" in kind.input_model.model_fields else ""
        raise _wrong(f"is {natural} for this {kind.name} job, by its input: leave it out{more}")
    return natural


def _is_forced(input: Input) -> bool:
    return getattr(input, "force", False)


def _wrong(message: str) -> InvalidInputError:
    return InvalidInputError(f"the id is not right: id: {message}", [{"field": "id", "message": message}])
