"""A sales report: a part for each shard of the day's sales at the same time, then all of them put together."""

import azure.durable_functions as df

from activities.reports import delete_parts, find_sales, mail_report, merge_report, report_shard
from jobs.errors import ActivityFailedError, JobError
from jobs.saga import Saga
from jobs.sales import SHARDS

blueprint = df.Blueprint()

PLAN = (find_sales, report_shard, merge_report, mail_report)


@blueprint.orchestration_trigger(context_name="context")
def sales_report(context: df.DurableOrchestrationContext):
    return (yield from report(context))


def report(context: df.DurableOrchestrationContext):
    """The report's steps. A day without sales has no shards, and a report that says so."""
    saga = Saga(context, PLAN)
    day = saga.input["day"]
    try:
        shards = yield from saga.do(find_sales, {"day": day}, undo=delete_parts)
        parts = yield from saga.each(report_shard, [{"day": day, "shard": shard} for shard in shards], window=SHARDS)
        for error in (part["error"] for part in parts if "error" in part):
            raise ActivityFailedError(error["type"], error["message"], retryable=error["retryable"])
        made = yield from saga.do(merge_report, {"day": day, "shards": shards}, final=True)
    except JobError as error:
        return (yield from saga.undo(error))

    more = {mail_report: made} | ({delete_parts: {}} if shards else {})
    failures = yield from saga.also(more)
    return (yield from saga.complete({**made, "incomplete": failures} if failures else made))
