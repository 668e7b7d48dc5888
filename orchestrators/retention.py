"""Retention: part by part and page by page, what is past its age is erased, or in a dry run counted."""

import azure.durable_functions as df

from activities.retention import PARTS, erase_old
from jobs.errors import ActivityFailedError, JobError
from jobs.saga import Saga

blueprint = df.Blueprint()

PLAN = (erase_old,)
MOST_PAGES = 200
"""Of one part in one night: its history stays small, and the rest is for the next night."""


@blueprint.orchestration_trigger(context_name="context")
def retention(context: df.DurableOrchestrationContext):
    return (yield from clean_up(context))


def clean_up(context: df.DurableOrchestrationContext):
    """A part that fails does not keep the others from being cleaned up; the job has failed, then."""
    saga = Saga(context, PLAN)
    dry_run = saga.input["dryRun"]
    sums = {"counts": {}, "kept": {}}
    unfinished, errors = [], []
    try:
        for number, part in enumerate(PARTS):
            saga.show(erase_old, number / len(PARTS), part=part)
            try:
                if not (yield from _clean_up_part(saga, part, dry_run, sums)):
                    unfinished.append(part)
            except ActivityFailedError as error:
                errors.append(error)
    except JobError as error:
        return (yield from saga.undo(error))
    if errors:
        return (yield from saga.undo(errors[0]))
    return (yield from saga.complete({"dryRun": dry_run, **sums, "unfinished": unfinished}))


def _clean_up_part(saga: Saga, part: str, dry_run: bool, sums: dict):
    """Add up what each page had. Returns whether that was all."""
    continuation = None
    for _ in range(MOST_PAGES):
        page = yield from saga.do(erase_old, {"part": part, "dryRun": dry_run, "continuation": continuation})
        for name, found in sums.items():
            for what, count in page[name].items():
                found[what] = found.get(what, 0) + count
        continuation = page["next"]
        if continuation is None:
            return True
    return False
