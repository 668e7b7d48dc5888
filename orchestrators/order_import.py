"""An import of orders: the file is planned, its parts are taken one after the other, and a report is written.

A part is a sub-orchestration of the chunks that are taken at once, so that the history of each stays small and a cancel
has to wait for one part only. What was accepted stays accepted, also when the import ends early: the report and the
result then say what was.
"""

from datetime import datetime

import azure.durable_functions as df

from activities.imports import import_chunk, report_import, scan_import
from jobs import retry
from jobs.errors import ActivityFailedError, JobError
from jobs.retry import RetryPolicy
from jobs.saga import Saga

blueprint = df.Blueprint()

PLAN = (scan_import, import_chunk, report_import)
CHUNKS_IN_PART = 4
PATIENT = RetryPolicy(attempts=12)
"""It outlasts five minutes without Service Bus or storage: a file would have to be uploaded again."""
IN_TURN = RetryPolicy(attempts=40)
"""It outlasts another import of the same file, which may take as long as the deadline lets it: nearly six hours."""


@blueprint.orchestration_trigger(context_name="context")
def order_import(context: df.DurableOrchestrationContext):
    return (yield from take_file(context))


@blueprint.orchestration_trigger(context_name="context")
def order_import_part(context: df.DurableOrchestrationContext):
    return (yield from take_part(context))


def take_file(context: df.DurableOrchestrationContext):
    """The import's steps. Result: how many rows were read, accepted, ordered before and bad; where the report is."""
    saga = Saga(context, PLAN)
    begun = rows = 0
    try:
        found = yield from saga.do(scan_import, saga.input, policy=IN_TURN)
        while begun < found["chunks"]:
            saga.show(import_chunk, rows / found["rows"], rows=rows, of=found["rows"])
            chunks = [begun, min(begun + CHUNKS_IN_PART, found["chunks"])]
            begun = chunks[1]
            part = yield from saga.part("order_import_part", {**saga.input, "chunks": chunks})
            rows += part["rows"]
            if error := part["error"]:
                raise ActivityFailedError(error["type"], error["message"], retryable=error["retryable"])
        result = yield from saga.do(report_import, {**saga.input, "chunks": begun, "complete": True}, policy=PATIENT)
    except JobError as error:
        if not begun:
            return (yield from saga.undo(error))
        result = yield from saga.salvage(report_import, {**saga.input, "chunks": begun, "complete": False})
        return (yield from saga.undo(error, result=result))
    return (yield from saga.complete(result))


def take_part(context: df.DurableOrchestrationContext):
    """Take some chunks. Returns how many `rows` went well, and the first `error` of those that did not."""
    given = context.get_input()
    input, deadline = given["input"], datetime.fromisoformat(given["deadline"])
    calls = []
    for number in range(*input["chunks"]):
        chunk = {"name": input["name"], "etag": input["etag"], "chunk": number}
        calls.append((import_chunk, {"job": given["job"], "step": f"import_chunk.{number}", "input": chunk}))
    try:
        outcomes = yield from retry.call_each(context, calls, PATIENT, deadline=deadline)
    except JobError as error:
        return {"rows": 0, "error": error.to_dict()}
    errors = [outcome["error"] for outcome in outcomes if "error" in outcome]
    rows = sum(outcome["ok"]["rows"] for outcome in outcomes if "ok" in outcome)
    return {"rows": rows, "error": errors[0] if errors else None}
