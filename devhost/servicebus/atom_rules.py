"""Rules of subscriptions in the administration API's XML, read and written."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from xml.etree.ElementTree import Element, SubElement

import isodate

from devhost.servicebus.atom import CONNECT, INSTANCE, format_moment
from devhost.servicebus.descriptions import RuleDescription
from devhost.servicebus.errors import ArgumentError
from devhost.servicebus.filters import (
    CorrelationFilter,
    FalseFilter,
    Filter,
    SqlAction,
    SqlFilter,
    TrueFilter,
    Value,
)

_TYPE = f"{{{INSTANCE}}}type"
_SCHEMA = "http://www.w3.org/2001/XMLSchema"
_COMPATIBILITY_LEVEL = "20"
_TEXTS = {
    "CorrelationId": "correlation_id",
    "MessageId": "message_id",
    "To": "to",
    "ReplyTo": "reply_to",
    "Label": "subject",
    "SessionId": "session_id",
    "ReplyToSessionId": "reply_to_session_id",
    "ContentType": "content_type",
}
_READERS = {
    "string": str,
    "int": int,
    "long": int,
    "short": int,
    "byte": int,
    "double": float,
    "float": float,
    "decimal": float,
    "boolean": lambda text: text.lower() in ("true", "1"),
    "dateTime": isodate.parse_datetime,
    "duration": isodate.parse_duration,
    "guid": str,
    "char": str,
}


def read_rule(name: str | None, element: Element) -> RuleDescription:
    """The rule in an XML element; `name`: None takes it from there. Raises ArgumentError."""
    if element.tag.rpartition("}")[2] not in ("RuleDescription", "DefaultRuleDescription"):
        raise ArgumentError("The body describes no rule. Send a RuleDescription.")
    name = name or element.findtext(f"{{{CONNECT}}}Name")
    found = element.find(f"{{{CONNECT}}}Filter")
    action = element.find(f"{{{CONNECT}}}Action")
    values: dict[str, Any] = {"name": name} if name else {}
    if found is not None:
        values["filter"] = _read_filter(found)
    if action is not None and _type_of(action) == "SqlRuleAction":
        values["action"] = SqlAction(_text(action, "SqlExpression") or "", _read_values(action, "Parameters"))
    return RuleDescription(**values)


def write_rule(rule: RuleDescription, created_at: int) -> Element:
    """A rule. The moment in ms since 1970."""
    element = Element(f"{{{CONNECT}}}RuleDescription")
    _write_filter(SubElement(element, f"{{{CONNECT}}}Filter"), rule.filter)
    action = SubElement(element, f"{{{CONNECT}}}Action")
    if rule.action is None:
        action.set(_TYPE, "EmptyRuleAction")
    else:
        _write_sql(action, "SqlRuleAction", rule.action.expression, rule.action.parameters)
    _add(element, "CreatedAt", format_moment(created_at))
    _add(element, "Name", rule.name)
    return element


def _read_filter(element: Element) -> Filter:
    match _type_of(element):
        case "TrueFilter":
            return TrueFilter()
        case "FalseFilter":
            return FalseFilter()
        case "SqlFilter":
            return SqlFilter(_text(element, "SqlExpression") or "", _read_values(element, "Parameters"))
        case "CorrelationFilter":
            texts = {attribute: _text(element, name) for name, attribute in _TEXTS.items()}
            return CorrelationFilter(**texts, properties=_read_values(element, "Properties"))
        case other:
            raise ArgumentError(f"A filter of type {other!r} is not known; there are Sql, Correlation, True and False.")


def _write_filter(element: Element, rule_filter: Filter) -> None:
    match rule_filter:
        case TrueFilter():
            _write_sql(element, "TrueFilter", "1=1", {})
        case FalseFilter():
            _write_sql(element, "FalseFilter", "1=0", {})
        case SqlFilter():
            _write_sql(element, "SqlFilter", rule_filter.expression, rule_filter.parameters)
        case CorrelationFilter():
            element.set(_TYPE, "CorrelationFilter")
            for name, attribute in _TEXTS.items():
                text = getattr(rule_filter, attribute)
                if text is not None:
                    _add(element, name, text)
            _write_values(element, "Properties", rule_filter.properties)


def _write_sql(element: Element, kind: str, expression: str, parameters: Mapping[str, Value]) -> None:
    element.set(_TYPE, kind)
    _add(element, "SqlExpression", expression)
    _add(element, "CompatibilityLevel", _COMPATIBILITY_LEVEL)
    _write_values(element, "Parameters", parameters)


def _read_values(parent: Element, name: str) -> dict[str, Value]:
    values: dict[str, Value] = {}
    for pair in parent.iterfind(f"{{{CONNECT}}}{name}/{{{CONNECT}}}KeyValueOfstringanyType"):
        key, value = _text(pair, "Key"), pair.find(f"{{{CONNECT}}}Value")
        kind = "string" if value is None else _type_of(value)
        try:
            values[key or ""] = _READERS[kind](value.text or "" if value is not None else "")
        except (KeyError, ValueError):
            raise ArgumentError(f"{name}: {key!r} has a value that is no {kind}.") from None
    return values


def _write_values(parent: Element, name: str, values: Mapping[str, Value]) -> None:
    if not values:
        return
    element = SubElement(parent, f"{{{CONNECT}}}{name}")
    for key, value in values.items():
        pair = SubElement(element, f"{{{CONNECT}}}KeyValueOfstringanyType")
        _add(pair, "Key", key)
        kind, text = _written(value)
        # The prefix stands in the attribute's text, where the serialiser does not see it.
        found = SubElement(pair, f"{{{CONNECT}}}Value", {_TYPE: f"d6p1:{kind}", "xmlns:d6p1": _SCHEMA})
        found.text = text


def _written(value: Value) -> tuple[str, str]:
    match value:
        case bool():
            return "boolean", str(value).lower()
        case int():
            return ("int" if -(2**31) <= value < 2**31 else "long"), str(value)
        case float():
            return "double", repr(value)
        case datetime():
            return "dateTime", isodate.datetime_isoformat(value)
        case timedelta():
            return "duration", isodate.duration_isoformat(value)
        case _:
            return "string", value


def _type_of(element: Element) -> str:
    return element.get(_TYPE, "").rpartition(":")[2]


def _text(element: Element, name: str) -> str | None:
    return element.findtext(f"{{{CONNECT}}}{name}") or None


def _add(parent: Element, name: str, text: str) -> None:
    SubElement(parent, f"{{{CONNECT}}}{name}").text = text
