"""Moments as .NET writes them, in local time with the offset."""

from __future__ import annotations

from datetime import datetime, tzinfo


def json_text(moment: datetime, zone: tzinfo) -> str:
    """As in JSON: a fraction of a second only where there is one."""
    local = moment.astimezone(zone)
    fraction = f".{local.microsecond:06d}".rstrip("0") if local.microsecond else ""
    return f"{local:%Y-%m-%dT%H:%M:%S}{fraction}{_offset(local)}"


def round_trip(moment: datetime, zone: tzinfo) -> str:
    """In the format "o": always seven digits of a second."""
    local = moment.astimezone(zone)
    return f"{local:%Y-%m-%dT%H:%M:%S.%f}0{_offset(local)}"


def invariant(moment: datetime, zone: tzinfo) -> str:
    """As ToString() gives it in the invariant culture: month first, no offset."""
    return f"{moment.astimezone(zone):%m/%d/%Y %H:%M:%S}"


def invariant_with_offset(moment: datetime, zone: tzinfo) -> str:
    """The same with the offset; Z in UTC."""
    local = moment.astimezone(zone)
    return f"{local:%m/%d/%Y %H:%M:%S}{'Z' if str(zone) == 'UTC' else _offset(local)}"


def _offset(local: datetime) -> str:
    text = f"{local:%z}"
    return f"{text[:3]}:{text[3:5]}"
