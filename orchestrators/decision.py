"""A person's decision: asked for by mail, reminded of, asked of the next one, and after the last one made by default.

The sub-orchestration only waits and has others look: what was decided lies in the approval's row (`jobs.approvals`).
"""

from datetime import datetime

import azure.durable_functions as df

from activities.approvals import (
    WAITS_FOR,
    ask_approver,
    check_vote,
    decide_by_default,
    open_approval,
    remind_approver,
    withdraw_approval,
)
from jobs import retry
from jobs.errors import ActivityFailedError, ApprovalRejectedError, JobCancelledError, JobError
from jobs.retry import name_of
from jobs.saga import DUTY
from jobs.waiting import event_or_timeout

blueprint = df.Blueprint()


def approve(saga, question, details):
    """Go on only if a person approves: use with `yield from`. Returns the decision, as `ask` does.

    Raises ApprovalRejectedError, also when nobody answers, and what `ask` raises: hand them to `saga.undo`.
    """
    found = yield from ask(saga, question, details)
    if found["decision"] == "approved":
        return found
    if found["via"] == "default":
        raise ApprovalRejectedError("nobody who was asked for an approval has answered, so it counts as rejected")
    # Not who, nor in what words: an error goes to logs, events, dead letters and whoever asked for a callback.
    raise ApprovalRejectedError("a person has rejected it: GET /api/approvals says who, when and why")


def ask(saga, question, details, default="reject"):
    """Have a person decide: use with `yield from`. `details`: texts, numbers and flags by name, for the page.

    Returns `{decision: approved|rejected, by, at, via: link|api|default, reason}`.
    Raises JobCancelledError, DeadlineExceededError, ActivityFailedError: hand them to `saga.undo`.
    """
    asked = {"question": question, "details": details, "default": default}
    opened = yield from saga.do(open_approval, asked, undo=withdraw_approval)
    found = yield from saga.part("decision", opened, waits_for=WAITS_FOR)
    if error := found.get("error"):
        raise ActivityFailedError(error["type"], error["message"], retryable=error["retryable"])
    if found["decision"] == "withdrawn":
        raise JobCancelledError("the job was cancelled while it waited for an approval")
    return found


@blueprint.orchestration_trigger(context_name="context")
def decision(context: df.DurableOrchestrationContext):
    return (yield from Vigil(context).keep())


class Vigil:
    """The wait for one decision, round by round."""

    def __init__(self, context: df.DurableOrchestrationContext):
        given = context.get_input()
        self._context = context
        self._job = given["job"]
        self._rounds = given["input"]["rounds"]
        self._wait_for(given["input"]["wake"])

    def keep(self):
        """Wait until it is decided. Returns the decision, or the `error` for which nobody can know it."""
        try:
            for number, round in enumerate(self._rounds):
                ends_at = datetime.fromisoformat(round["endsAt"])
                remind_at = datetime.fromisoformat(round["remindAt"]) if round["remindAt"] else ends_at
                for activity, until in ((ask_approver, remind_at), (remind_approver, ends_at)):
                    if self._context.current_utc_datetime >= until:
                        continue
                    if found := (yield from self._mail(activity, number, until)):
                        return found
                    if found := (yield from self._listen(until)):
                        return found
            return (yield from self._call(decide_by_default, {}))["decision"]
        except JobError as error:
            return {"error": error.to_dict()}

    def _mail(self, activity, round, until):
        """Mail to the round's approver. A mail that cannot be sent must not keep the next one from being asked.

        Returns the decision if there is one by now.
        """
        try:
            answer = yield from self._call(activity, {"round": round}, f".{round}", cancel=self._wake, deadline=until)
        except JobError:
            return None
        return answer["decision"]

    def _listen(self, until):
        """Wait for votes until the moment. Returns the decision, or None."""
        while (yield from event_or_timeout(self._context, self._wake, until)):
            answer = yield from self._call(check_vote, {"wake": self._awaited}, f".{self._awaited}")
            if answer["decision"]:
                return answer["decision"]
            self._wait_for(answer["wake"])
        return None

    def _wait_for(self, name):
        """Wait for an event of a name that was not waited for before (see `jobs.waiting`)."""
        self._awaited = name
        self._wake = self._context.wait_for_external_event(name)

    def _call(self, activity, input, suffix="", **limits):
        arguments = {"job": self._job, "step": f"{name_of(activity)}{suffix}", "input": input}
        outcome = yield from retry.call(self._context, activity, arguments, DUTY, **limits)
        return outcome["ok"]
