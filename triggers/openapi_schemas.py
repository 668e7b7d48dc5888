"""The schemas of the HTTP API's description: what the doors take, by kind, and what they answer."""

from __future__ import annotations

from typing import Any, get_args

from jobs import approvals
from jobs.carrier import State
from jobs.catalog import KINDS


def schemas() -> dict[str, Any]:
    """All of them, by name."""
    schemas: dict[str, Any] = {"Status": _STATUS_SCHEMA, "Problem": _PROBLEM_SCHEMA, "DeadLetter": _LETTER_SCHEMA}
    schemas |= {
        "Step": _STEP_SCHEMA,
        "Queue": _QUEUE_SCHEMA,
        "Schedule": _SCHEDULE_SCHEMA,
        "Alert": _ALERT_SCHEMA,
        "Approval": _APPROVAL_SCHEMA,
        "CarrierWebhook": _CARRIER_WEBHOOK_SCHEMA,
    }
    for kind in KINDS.values():
        schema = kind.input_model.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas |= schema.pop("$defs", {})
        schemas[kind.input_model.__name__] = schema
    return schemas


_TIME = {"type": ["string", "null"], "format": "date-time"}
_SECONDS = {"type": ["number", "null"]}
_ERROR_SCHEMA = {
    "type": "object",
    "required": ["type", "message", "retryable"],
    "properties": {
        "type": {"type": "string"},
        "message": {"type": "string"},
        "retryable": {"type": "boolean"},
        "openCompensations": {"type": "array", "items": {"type": "string"}},
    },
}
_DELIVERY_SCHEMA = {
    "type": "object",
    "required": ["state", "attempts"],
    "properties": {
        "state": {"enum": ["Pending", "Delivered", "Failed"]},
        "attempts": {"type": "integer"},
        "at": {"type": "string", "format": "date-time", "description": "Of the last try."},
        "host": {"type": "string", "description": "Of the callback's URL, which is not shown."},
        "error": {"type": "object", "properties": {"type": {"type": "string"}, "message": {"type": "string"}}},
    },
}
_STATUS_SCHEMA = {
    "type": "object",
    "required": ["kind", "id", "status", "correlationId", "submittedAt"],
    "properties": {
        "kind": {"type": "string"},
        "id": {"type": "string"},
        "status": {"enum": ["Pending", "Running", "Waiting", "Completed", "Failed", "Cancelled"]},
        "progress": {
            "type": ["object", "null"],
            "properties": {
                "percent": {"type": ["integer", "null"]},
                "step": {"type": ["string", "null"]},
                "state": {"type": "string", "description": "Of what is watched: the parcel of a shipment."},
                "looks": {"type": "integer", "description": "How often it was looked at."},
                "outages": {"type": "integer", "description": "Looks in a row that found nobody."},
            },
        },
        "waitingFor": {"type": "string", "description": "What outside the app it waits for."},
        "correlationId": {"type": "string"},
        "replyTo": {"type": "string"},
        "deliveries": {
            "type": "object",
            "description": "By channel (callback, reply, mail, event), how far the telling of the outcome is.",
            "additionalProperties": _DELIVERY_SCHEMA,
        },
        "notBefore": {"type": "string", "format": "date-time"},
        "heldUntil": {
            "type": "string",
            "format": "date-time",
            "description": "Of a job that waits for its turn to begin, since many came at once.",
        },
        "submittedAt": _TIME,
        "startedAt": _TIME,
        "completedAt": _TIME,
        "waitSeconds": _SECONDS,
        "runSeconds": _SECONDS,
        "result": {},
        "resultUrl": {"type": "string", "format": "uri"},
        "error": _ERROR_SCHEMA,
        "steps": {"type": "array", "items": {"$ref": "#/components/schemas/Step"}},
        "stepsLeftOut": {"type": "integer", "description": "So many steps before these are not shown."},
    },
}
_STEP_SCHEMA = {
    "type": "object",
    "required": ["step", "status", "startedAt", "completedAt", "attempts"],
    "properties": {
        "step": {"type": "string"},
        "status": {"enum": ["Running", "Waiting", "Completed", "Failed"]},
        "startedAt": _TIME,
        "completedAt": _TIME,
        "attempts": {"type": "integer", "minimum": 1},
        "undo": {"const": True, "description": "It takes back what another step did."},
        "error": {
            "type": "object",
            "required": ["type", "message"],
            "properties": {"type": {"type": "string"}, "message": {"type": "string"}},
            "description": "Of the last attempt.",
        },
    },
}
_QUEUE_SCHEMA = {
    "type": "object",
    "required": ["queue", "depth", "oldestSeconds", "isMore"],
    "properties": {
        "queue": {"type": "string"},
        "depth": {"type": "integer"},
        "oldestSeconds": {"type": ["number", "null"]},
        "isMore": {"type": "boolean", "description": "Whether there are more than were counted."},
    },
}
_LETTER_SCHEMA = {
    "type": "object",
    "required": ["id", "queue", "source", "reason", "description", "enqueuedAt"],
    "properties": {
        **{name: {"type": "string"} for name in ("id", "queue", "source", "messageId", "reason", "description")},
        **{
            name: {"type": ["string", "null"]}
            for name in ("kind", "jobId", "correlationId", "errorType", "sessionId", "replyTo", "replySession")
        },
        "attempts": {"type": "integer"},
        "enqueuedAt": {"type": "string", "format": "date-time"},
        "firstSeen": _TIME,
        "body": {"type": "string", "description": "What failed, when it was asked for and is text."},
        "bodyBase64": {"type": "string", "description": "The same, when it is no text."},
    },
}
_SCHEDULE_SCHEMA = {
    "type": "object",
    "required": ["name", "expression", "timeZone", "state", "last", "next", "lateSince", "missed", "lastJob"],
    "properties": {
        "name": {"type": "string"},
        "expression": {"type": "string", "description": "NCRONTAB, or a span of time."},
        "timeZone": {"type": "string"},
        "state": {
            "enum": ["ok", "late", "missed"],
            "description": "late: it may yet run; missed: its grace is over.",
        },
        "last": _TIME,
        "next": {"type": "string", "format": "date-time"},
        "lateSince": _TIME,
        "missed": {"type": "array", "items": {"type": "string", "format": "date-time"}},
        "lastJob": {"type": ["string", "null"], "description": "The path of the job that it submitted last."},
    },
}
_ALERT_SCHEMA = {
    "type": "object",
    "required": ["alert", "summary", "since"],
    "properties": {
        "alert": {"type": "string"},
        "summary": {"type": "string"},
        "since": {"type": "string", "format": "date-time"},
        "goneSince": {"type": "string", "format": "date-time", "description": "Left out unless the condition is gone."},
    },
    "description": "A condition that calls for a person, with its figures. It is cleared when it has been gone for a "
    "while.",
}
_APPROVAL_SCHEMA = {
    "type": "object",
    "required": ["id", "job", "state", "question", "details", "approver", "default", "openedAt", "expiresAt"],
    "properties": {
        "id": {"type": "string"},
        "job": {"type": "object", "properties": {"kind": {"type": "string"}, "id": {"type": "string"}}},
        "state": {"enum": list(approvals.STATES)},
        "question": {"type": "string"},
        "details": {"type": "object"},
        "approver": {"type": ["string", "null"], "description": "Who is asked at present."},
        "round": {"type": "integer", "description": "So many were asked before."},
        "default": {"enum": list(approvals.VOTES), "description": "What counts when nobody answers."},
        "openedAt": {"type": "string", "format": "date-time"},
        "expiresAt": {"type": "string", "format": "date-time"},
        "decidedBy": {"type": ["string", "null"]},
        "decidedAt": _TIME,
        "via": {"enum": [approvals.LINK, approvals.API, approvals.DEFAULT, None]},
        "reason": {"type": ["string", "null"]},
    },
}
_PROBLEM_SCHEMA = {
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
            },
        },
    },
}
_CARRIER_WEBHOOK_SCHEMA = {
    "type": "object",
    "required": ["type", "data"],
    "properties": {
        "type": {"type": "string", "description": "`parcel.moved`; others are ignored."},
        "data": {
            "type": "object",
            "required": ["id", "sequence", "state", "at"],
            "properties": {
                "id": {"type": "string"},
                "sequence": {"type": "integer", "minimum": 1},
                "state": {"enum": list(get_args(State))},
                "at": {"type": "string", "format": "date-time"},
            },
        },
    },
}
REPLAYED = {
    "type": "object",
    "properties": {"id": {"type": "string"}, "done": {"type": "boolean"}, "where": {"type": "string"}},
}
QUEUES = {
    "type": "object",
    "required": ["queues", "missing"],
    "properties": {
        "queues": {"type": "array", "items": {"$ref": "#/components/schemas/Queue"}},
        "missing": {
            "type": "array",
            "items": {"type": "string"},
            "description": "Queues that cannot be looked into now.",
        },
    },
}
WATCHED = {
    "type": "object",
    "required": ["schedules", "alerts"],
    "properties": {
        "schedules": {"type": "array", "items": {"$ref": "#/components/schemas/Schedule"}},
        "alerts": {"type": "array", "items": {"$ref": "#/components/schemas/Alert"}},
    },
}
RAN = {
    "type": "object",
    "required": ["name", "scheduledAt", "job"],
    "properties": {
        "name": {"type": "string"},
        "scheduledAt": {"type": "string", "format": "date-time"},
        "job": {"type": ["string", "null"], "description": "The path of the job that it submitted, if it submits one."},
    },
}
