"""The parcel carrier's HTTP API: a parcel is booked once, and looked up; what it says that cannot be is an outage."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from jobs.entry import written
from jobs.errors import PermanentError, TransientError
from jobs.http_service import HttpService
from jobs.inputs import Identifier
from jobs.parcels import Change

State = Literal["announced", "collected", "in-transit", "out-for-delivery", "delivered", "returned"]
Sequence = Annotated[int, Field(ge=1, le=2**53)]
MOST_EVENTS = 200


class CarrierRefusedError(PermanentError):
    """The carrier will not do this, now or later."""


class CarrierUnavailableError(TransientError):
    """The carrier was busy, failed, could not be reached, or said what cannot be."""


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("must be within the years 1 to 9999 in UTC") from None


class Moved(BaseModel):
    """That a parcel has come to a state, as the carrier tells it. What it tells besides is no concern of ours."""

    model_config = ConfigDict(strict=True, frozen=True, hide_input_in_errors=True)

    sequence: Sequence
    state: State
    at: Annotated[AwareDatetime, Field(strict=False), AfterValidator(_in_utc)]

    @property
    def change(self) -> Change:
        return Change(self.sequence, self.state, written(self.at))


class _Booked(BaseModel):
    model_config = ConfigDict(strict=True, hide_input_in_errors=True)

    id: Identifier


class _Tracked(BaseModel):
    model_config = ConfigDict(strict=True, hide_input_in_errors=True)

    id: Identifier
    state: State
    sequence: Sequence
    events: Annotated[list[Moved], Field(min_length=1, max_length=MOST_EVENTS)]

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> _Tracked:
        numbers = [event.sequence for event in self.events]
        if numbers != sorted(set(numbers)):
            raise ValueError("the sequence of its events goes back")
        if (self.events[-1].sequence, self.events[-1].state) != (self.sequence, self.state):
            raise ValueError("its last event is not its state")
        return self


CARRIER = HttpService("the carrier", "carrier_url", "carrier_timeout", CarrierUnavailableError)


async def book(reference: str, *, key: str, correlation_id: str) -> str:
    """Book a parcel, once for each `key`, and return its number.

    Raises SettingMissingError, CarrierRefusedError, CarrierUnavailableError.
    """
    answer = await CARRIER.ask("POST", "/carrier/parcels", correlation_id, key=key, fields={"reference": reference})
    if answer.is_error:
        raise CarrierRefusedError(f"the carrier refused the parcel: {answer.status} {answer.body.get('code')}")
    try:
        return _Booked.model_validate(answer.body).id
    except ValidationError as error:
        raise _rubbish(error) from None


async def track(parcel: str, *, correlation_id: str) -> list[Change]:
    """All that has happened to a parcel, by rising sequence.

    Raises SettingMissingError and CarrierUnavailableError, also when the carrier knows no such parcel: the number of a
    new one may take hours to be known in all of its systems.
    """
    answer = await CARRIER.ask("GET", f"/carrier/parcels/{parcel}", correlation_id, fields={})
    if answer.is_error:
        raise CarrierUnavailableError(f"the carrier does not say where the parcel is: it answered {answer.status}")
    try:
        tracked = _Tracked.model_validate(answer.body)
    except ValidationError as error:
        raise _rubbish(error) from None
    if tracked.id != parcel:
        raise CarrierUnavailableError("the carrier answered for another parcel than it was asked for")
    return [event.change for event in tracked.events]


def _rubbish(error: ValidationError) -> CarrierUnavailableError:
    found = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(map(str, found["loc"])) or "answer"
    return CarrierUnavailableError(f"the carrier's answer cannot be right: {where}: {found['msg'][:200]}")
