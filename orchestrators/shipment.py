"""A shipment: its parcel is looked up until it is delivered or comes back, and each change is mailed to the customer.

The interval between two looks is short after a change and grows while there is none. A carrier that does not answer has
no news; a webhook of the carrier calls for a look at once (`jobs.parcels`). After some looks the job goes on in a new
execution, so that its history stays small however long the parcel takes.
"""

from datetime import timedelta

import azure.durable_functions as df

from activities.parcels import WAITS_FOR, look_up_parcel, mail_parcel_news
from jobs.errors import ActivityFailedError, JobError
from jobs.retry import RetryPolicy
from jobs.saga import Saga

blueprint = df.Blueprint()

LOOKS = 15
"""So many in one execution: at most some 150 events of history."""
ONE_TRY = RetryPolicy(attempts=1, crashes=2)
"""A look that fails, also by a lost worker, is made good by the next."""
FEW_TRIES = RetryPolicy(attempts=3)
"""A mail that is not sent then is sent after the next look."""
UNKNOWN_INTERVAL = 900.0
"""Seconds between looks while none has succeeded, so that nobody has said how long it is."""
PERCENT = {"announced": 0, "collected": 25, "in-transit": 50, "out-for-delivery": 75, "delivered": 100, "returned": 100}


@blueprint.orchestration_trigger(context_name="context")
def shipment(context: df.DurableOrchestrationContext):
    return (yield from watch(context))


def watch(context: df.DurableOrchestrationContext):
    """The looks, and what comes of them. A deadline ends the job as Failed; a cancel leaves the parcel on its way."""
    saga = Saga(context, ())
    known = saga.carried or {"looks": 0, "interval": 0.0, "outages": 0, "state": None, "told": True, "unmailed": None}
    try:
        for _ in range(LOOKS):
            wake = yield from _look(saga, known)
            if wake is None:
                return (yield from saga.complete(_result(saga, known)))
            saga.show(look_up_parcel, **_shown(known))
            moment = context.current_utc_datetime + timedelta(seconds=known["interval"])
            yield from saga.sleep_until(moment, context.wait_for_external_event(wake))
            if not known["told"]:
                # The tries to mail have filled the history sooner than looks do.
                break
        saga.carry_on(known)
    except JobError as error:
        return (yield from saga.undo(error))


def _look(saga: Saga, known: dict):
    """Look once, mail what is new, and enter into `known` what was found.

    Returns the event that calls for the next look, None when there is nothing left to look for.
    """
    known["looks"] += 1
    look = {"parcel": saga.input["parcel"], "look": known["looks"]}
    try:
        found = yield from saga.do(look_up_parcel, look, policy=ONE_TRY, shown=_shown(known))
    except ActivityFailedError as error:
        if not error.retryable:
            raise
        known["outages"] += 1
        known["interval"] = known["interval"] or UNKNOWN_INTERVAL
        return f"news.{known['looks']}"
    known["outages"] = known["outages"] + 1 if found["outage"] else 0
    known["interval"] = _interval(known["interval"], found)
    if found["newest"]:
        known["state"] = found["newest"]["state"]
    known["told"] = yield from _mail(saga, found["untold"], known)
    return None if found["isOver"] and known["told"] else found["wake"]


def _mail(saga: Saga, untold: list, known: dict):
    """Mail the changes, oldest first. Returns whether no mail is left for the next look to send."""
    for change in untold:
        try:
            yield from saga.do(mail_parcel_news, change, policy=FEW_TRIES, shown=_shown(known))
        except ActivityFailedError as error:
            if error.retryable:
                return False
            known["unmailed"] = {"type": error.type, "message": str(error)}
    return True


def _interval(before: float, found: dict) -> float:
    """Seconds to the next look."""
    if found["untold"] or not before:
        return found["first"]
    return max(found["first"], min(2 * before, found["longest"]))


def _shown(known: dict) -> dict:
    """What the status shows of the parcel."""
    shown = {"waitingFor": WAITS_FOR, "looks": known["looks"], "outages": known["outages"]}
    if known["state"]:
        shown |= {"state": known["state"], "percent": PERCENT[known["state"]]}
    return shown


def _result(saga: Saga, known: dict) -> dict:
    result = {"state": known["state"], "parcel": saga.input["parcel"], "looks": known["looks"]}
    if known["unmailed"]:
        result["incomplete"] = {"mail_parcel_news": known["unmailed"]}
    return result
