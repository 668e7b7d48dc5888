"""Retention: part by part, what is past its age is erased, or in a dry run counted."""

from datetime import datetime, timedelta

import azure.durable_functions as df

from activities.retention import PARTS, erase_old
from jobs.errors import ActivityFailedError, JobError
from jobs.saga import Saga

blueprint = df.Blueprint()

PLAN = (erase_old,)
MOST_CALLS = 200
"""Of one part in one night, each of a minute or so: the history stays small, and the rest is for the next night."""
NIGHT = timedelta(hours=5)
"""After so long nothing more is begun."""


@blueprint.orchestration_trigger(context_name="context")
def retention(context: df.DurableOrchestrationContext):
    return (yield from clean_up(context))


def clean_up(context: df.DurableOrchestrationContext):
    """A part that fails does not keep the others from being cleaned up; the job has failed, then.

    What a night is too short for is `unfinished`: the next one goes on with it, as what was erased is not met again.
    """
    saga = Saga(context, PLAN)
    dry_run = saga.input["dryRun"]
    sums = {"counts": {}, "kept": {}}
    parts, unfinished, errors = list(PARTS), [], []
    end = context.current_utc_datetime + NIGHT
    try:
        for number, part in enumerate(parts):
            saga.show(erase_old, number / len(parts), part=part)
            try:
                is_done, also = yield from _clean_up_part(context, saga, part, dry_run, sums, end)
                unfinished += [] if is_done else [part]
                parts += [each for each in also if each not in parts]
            except ActivityFailedError as error:
                errors.append(error)
    except JobError as error:
        return (yield from saga.undo(error))
    if errors:
        return (yield from saga.undo(errors[0]))
    return (yield from saga.complete({"dryRun": dry_run, **sums, "unfinished": unfinished}))


def _clean_up_part(
    context: df.DurableOrchestrationContext, saga: Saga, part: str, dry_run: bool, sums: dict, end: datetime
):
    """Add up what each call found. Returns whether that was all, and what parts there are besides the first ones."""
    continuation, also = None, ()
    for _ in range(MOST_CALLS):
        if context.current_utc_datetime > end:
            return False, also
        found = yield from saga.do(erase_old, {"part": part, "dryRun": dry_run, "continuation": continuation})
        for name, total in sums.items():
            for what, count in found[name].items():
                total[what] = total.get(what, 0) + count
        continuation, also = found["next"], found.get("also", ())
        if continuation is None:
            return True, also
    return False, also
