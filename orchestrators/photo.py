"""A photo: looked at, made small in every size at once, and listed; what of it fails does not spoil the rest."""

import azure.durable_functions as df

from activities.photos import inspect_photo, make_thumbnails, write_manifest
from jobs.errors import ActivityFailedError, BlobChangedError, JobError
from jobs.saga import Saga

blueprint = df.Blueprint()

PLAN = (inspect_photo, make_thumbnails, write_manifest)
SIZES = (1280, 640, 160)
"""Pixels on the long side."""
WINDOW = 3
"""Sizes of one photo that are made at once."""
CHANGED = BlobChangedError("").type


@blueprint.orchestration_trigger(context_name="context")
def photo(context: df.DurableOrchestrationContext):
    return (yield from shrink(context))


def shrink(context: df.DurableOrchestrationContext):
    """The photo's steps. Nothing is undone: what a job that failed has made is right, and made again by a replay."""
    saga = Saga(context, PLAN)
    version = saga.input
    try:
        found = yield from saga.do(inspect_photo, version)
        outcomes = yield from saga.each(make_thumbnails, [{**version, "size": size} for size in SIZES], window=WINDOW)
        failures = {
            str(size): outcome["error"] for size, outcome in zip(SIZES, outcomes, strict=True) if "error" in outcome
        }
        _fail_if_useless(failures)
        result = {
            "photo": found,
            "thumbnails": [file for outcome in outcomes for file in outcome.get("ok", ())],
        }
        if failures:
            result["incomplete"] = {
                size: {"type": error["type"], "message": error["message"]} for size, error in failures.items()
            }
        manifest = yield from saga.do(write_manifest, result, final=True)
    except JobError as error:
        return (yield from saga.undo(error))
    return (yield from saga.complete({**result, "manifest": manifest}))


def _fail_if_useless(failures):
    """Raise the error of a size when no size was made, or when the photo is another one by now."""
    changed = [error for error in failures.values() if error["type"] == CHANGED]
    if changed or len(failures) == len(SIZES):
        error = (changed or list(failures.values()))[0]
        raise ActivityFailedError(error["type"], error["message"], retryable=error["retryable"])
