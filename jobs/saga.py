"""The saga: steps that are all done, or else all undone, newest first.

An undo is registered before its action is tried, because an attempt that seems to have failed may still have done its
work. So every undo must also be right when the action never happened.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

from azure.durable_functions import DurableOrchestrationContext
from azure.durable_functions.models.Task import TaskBase

from activities.closing import end_job
from jobs import retry
from jobs.errors import ActivityFailedError, DeadlineExceededError, JobCancelledError, JobError
from jobs.retry import Activity, RetryPolicy, name_of
from jobs.waiting import Steps, sleep_until

ACTION = RetryPolicy()
DUTY = RetryPolicy(attempts=20, cap=300.0, crashes=20)
"""For what must not be left undone, undos and the end: it outlasts an outage of half an hour."""

ALREADY_ENDED = "JobFinished"
"""The error of an instance's first step when the job has ended: started twice, it must do and undo nothing."""

CANCEL = "cancel"
"""The external event that asks a job to stop."""


class CompensationFailedError(Exception):
    """Something is left open that a person must settle, so the Durable instance shall be Failed too.

    An order that was refused and undone is an ordinary end: its job is Failed, its instance ran as it should.
    """


class Saga:
    """One job's way through its steps. Create it first thing in the orchestrator, and leave by `complete` or `undo`."""

    def __init__(self, context: DurableOrchestrationContext, plan: Sequence[Activity]):
        """`plan`: the activities in order, for the progress that a status shows."""
        arguments = context.get_input()
        self.input: dict[str, Any] = arguments["input"]
        self._context = context
        self._plan = plan
        self._job: dict[str, Any] = arguments["job"]
        self._run: dict[str, Any] | None = arguments.get("run")
        self._undos: list[tuple[Activity, dict[str, Any]]] = []
        self.carried: Any = arguments.get("carried")
        """What `carry_on` handed to this execution of the job; None in the first."""
        self._told: int = arguments.get("told", 0)
        """The percentage of which an event tells: it only rises."""
        if "deadline" in arguments:
            self._deadline = datetime.fromisoformat(arguments["deadline"])
        else:
            self._deadline = context.current_utc_datetime + timedelta(seconds=arguments["deadlineSeconds"])
        # One wait for the whole job: the SDK would give an early event to every wait opened later (durable.md §1.5).
        self._cancel = context.wait_for_external_event(CANCEL)

    def do(
        self,
        activity: Activity,
        input: dict[str, Any],
        *,
        undo: Activity | None = None,
        final: bool = False,
        policy: RetryPolicy = ACTION,
        shown: Mapping[str, Any] = MappingProxyType({}),
    ) -> Steps:
        """Do one step, and return what its activity returned: use with `yield from`.

        `undo` is the activity that takes it back; it gets the same input. With a `final` step a cancel comes too late.
        `shown`: more for the status while it is done, as in `show`.
        Raises ActivityFailedError, JobCancelledError, DeadlineExceededError: hand them to `undo`.
        """
        if self._cancel.is_completed:
            raise JobCancelledError("the job was cancelled")
        if self._context.current_utc_datetime > self._deadline:
            raise DeadlineExceededError(f"the job's time was over before {name_of(activity)}")
        if undo:
            self._undos.append((undo, input))
        self.show(activity, cancellable=not final, **shown)
        arguments = self._arguments(activity, input)
        if (percent := self._percent(activity, 1.0) or 0) > self._told:
            self._told = arguments["percent"] = percent
        if self._run is None:
            arguments["begin"] = True
        cancel = None if final else self._cancel
        outcome = yield from retry.call(self._context, activity, arguments, policy, cancel, self._deadline)
        self._run = outcome.get("run", self._run)
        return outcome["ok"]

    def also(
        self,
        inputs: dict[Activity, dict[str, Any]],
        *,
        policy: RetryPolicy = ACTION,
        returned: dict[Activity, Any] | None = None,
    ) -> Steps:
        """Do several steps together whose failure does not undo the job. `inputs` by activity.

        Returns their errors by the name of the activity, as a status shows them: empty when all went well. What those
        without an error returned is put into `returned`.
        """
        self.show(next(iter(inputs)), cancellable=False)
        calls = [(activity, self._arguments(activity, input)) for activity, input in inputs.items()]
        outcomes = yield from retry.call_each(self._context, calls, policy)
        errors = {}
        for activity, outcome in zip(inputs, outcomes, strict=True):
            if error := outcome.get("error"):
                errors[name_of(activity)] = {"type": error["type"], "message": error["message"]}
            elif returned is not None:
                returned[activity] = outcome["ok"]
        return errors

    def each(self, activity: Activity, inputs: Sequence[dict[str, Any]], *, window: int) -> Steps:
        """Do one step for each of many inputs, at most `window` at once, after the job's first step: fan-out/fan-in.

        Returns the outcomes in order, `{"ok": …}` or `{"error": {type, message, retryable}}`: whether the job can do
        without those that failed, its orchestrator decides. Nothing of it is undone.
        Raises JobCancelledError, DeadlineExceededError, both between two windows: hand them to `undo`.
        """
        calls = [
            (activity, self._arguments(activity, input) | {"step": f"{name_of(activity)}.{number}"})
            for number, input in enumerate(inputs)
        ]
        self.show(activity)
        return (
            yield from retry.call_each(
                self._context,
                calls,
                ACTION,
                window=window,
                cancel=self._cancel,
                deadline=self._deadline,
                tell=lambda done: self.show(activity, done / len(calls)),
            )
        )

    def part(self, orchestrator: str, input: dict[str, Any], *, waits_for: str | None = None) -> Steps:
        """Have a sub-orchestration do a part of the job, and return what it returns: its history is not this job's.

        It is given `job`, `input` and `deadline` (ISO 8601), and hears of no cancel, so let a part be short; or else it
        `waits_for` something outside the app, which the status names, and which a cancel ends (`jobs.cancellation`).
        Then its instance is `<job's instance>~<orchestrator>`, and the time that it takes is not the job's.
        Raises ActivityFailedError when it raises; before it begins JobCancelledError, DeadlineExceededError.
        """
        retry.go_on(self._context, self._cancel, self._deadline)
        arguments = {"job": self._job, "input": input, "deadline": self._deadline.isoformat()}
        # No job's id holds a `~`. Parts that do not wait are many, and Durable names them.
        id = f"{self._context.instance_id}~{orchestrator}" if waits_for else None
        if waits_for:
            so_far = {"percent": self._told} if self._told else {}
            self._show({"step": orchestrator, "cancellable": True, "waitingFor": waits_for, **so_far})
        began = self._context.current_utc_datetime
        task = self._context.call_sub_orchestrator(orchestrator, arguments, id)
        try:
            # Racing the two opens the wait for the cancel, as in `retry.call`.
            yield self._context.task_any([task, self._cancel])
            result = yield task
        except Exception:
            raise ActivityFailedError("Unexpected", f"{orchestrator} failed unexpectedly: see the host's log") from None
        if waits_for:
            self._deadline += self._context.current_utc_datetime - began
        return result

    def sleep_until(self, moment: datetime, *wakes: TaskBase) -> Steps:
        """Sleep until the moment, the job's deadline, or until one of the waits for an event has its event.

        Returns that wait, or None. Raises JobCancelledError, DeadlineExceededError.
        """
        woken = yield from sleep_until(self._context, min(moment, self._deadline), self._cancel, *wakes)
        retry.go_on(self._context, self._cancel, None)
        if woken is None and self._context.current_utc_datetime >= self._deadline:
            raise DeadlineExceededError("the job's time was over before what it waited for")
        return woken

    def carry_on(self, carried: Any) -> None:
        """Go on in a new execution of the job's instance, whose history is empty: leave the orchestrator right after.

        `carried` is what its saga is given. Nothing may be left to undo. Raises JobCancelledError.
        """
        retry.go_on(self._context, self._cancel, None)
        arguments = {"job": self._job, "input": self.input, "run": self._run, "carried": carried, "told": self._told}
        self._context.continue_as_new(arguments | {"deadline": self._deadline.isoformat()})

    def salvage(self, activity: Activity, input: dict[str, Any]) -> Steps:
        """Do one step more of a job that is to end badly, before `undo`.

        Returns what its activity returned, or None when it failed, too.
        """
        self.show(activity, cancellable=False)
        calls = [(activity, self._arguments(activity, input))]
        (outcome,) = yield from retry.call_each(self._context, calls, ACTION)
        return outcome.get("ok")

    def complete(self, result: Any) -> Steps:
        """End the job as Completed."""
        yield from self._end("Completed", result=result)
        return {"status": "Completed"}

    def undo(self, error: JobError, *, result: Any = None) -> Steps:
        """Take back what was done, newest first, and end the job: as Cancelled when that was the wish, else as Failed.

        `result`: what stays done in spite of that, as the status shows it.
        What could not be taken back is named in the error's `openCompensations`, and the job is Failed in any case.
        """
        if error.type == ALREADY_ENDED:
            return {"status": ALREADY_ENDED}
        open_compensations = []
        is_cancelled = isinstance(error, JobCancelledError)
        while self._undos:
            activity, input = self._undos.pop()
            # To ask again for what is being done is not too late: whoever was not sure of the first time, may.
            self.show(activity, cancellable=is_cancelled)
            arguments = self._arguments(activity, input) | {"undo": True}
            try:
                yield from retry.call(self._context, activity, arguments, DUTY)
            except JobError:
                open_compensations.append(name_of(activity))
        if is_cancelled and not open_compensations:
            yield from self._end("Cancelled", result=result)
            return {"status": "Cancelled"}
        description = error.to_dict()
        if open_compensations:
            description["openCompensations"] = open_compensations
        yield from self._end("Failed", error=description, result=result, jobInput=self.input)
        if open_compensations:
            raise CompensationFailedError(f"not undone: {', '.join(open_compensations)}; do it by hand")
        return {"status": "Failed"}

    def _end(self, state: str, **details: Any) -> Steps:
        arguments = self._arguments(end_job, {"state": state, "run": self._run, **details})
        yield from retry.call(self._context, end_job, arguments, DUTY)

    def _arguments(self, activity: Activity, input: dict[str, Any]) -> dict[str, Any]:
        return {"job": self._job, "step": name_of(activity), "input": input}

    def show(self, activity: Activity, fraction: float = 0.0, *, cancellable: bool = True, **more: Any) -> None:
        """Show in the status that the job is at this step, how much of it is done, from 0 to 1, and more of it."""
        progress = {"step": name_of(activity), "cancellable": cancellable, **more}
        if (percent := self._percent(activity, fraction)) is not None:
            progress["percent"] = percent
        self._show(progress)

    def _percent(self, activity: Activity, fraction: float) -> int | None:
        """How much of the plan is done with so much of an activity; None unless it is in the plan."""
        if activity not in self._plan:
            return None
        return int(100 * (self._plan.index(activity) + fraction) / len(self._plan))

    def _show(self, progress: dict[str, Any]) -> None:
        self._context.set_custom_status(progress)
