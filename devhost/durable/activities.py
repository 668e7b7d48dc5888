"""Runs activities: as many at once as host.json allows, each answered to the hub."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable

from devhost.clock import Clock
from devhost.durable import events, failures
from devhost.durable.http_activity import HttpActivity
from devhost.durable.hub import Activity, EventType, Message, OwnershipLostError, TaskHub
from devhost.durable.scheduling import HTTP_ACTIVITY
from devhost.durable.worker import UnknownFunctionError, Worker
from devhost.invocation import FunctionInvocationError

_RETRY_SECONDS = 1.0


class ActivityRunner:
    """Claims activities from the hub and runs them."""

    def __init__(
        self,
        hub: TaskHub,
        worker: Worker,
        clock: Clock,
        limit: int,
        http: HttpActivity,
        failed: Callable[[BaseException], None],
    ) -> None:
        self._hub = hub
        self._worker = worker
        self._clock = clock
        self._limit = limit
        self._http = http
        self._failed = failed
        self._tasks: set[asyncio.Task[None]] = set()
        self._reserved = 0
        self._waiting = False
        self._claiming = False
        self._claim_task: asyncio.Task[None] | None = None
        self._stopping = False

    @property
    def is_idle(self) -> bool:
        """Whether none runs."""
        return not self._tasks and not self._claiming

    def reserve(self, wanted: int) -> int:
        """Set aside room for up to `wanted` activities about to be scheduled; start() uses it or gives it back."""
        room = 0 if self._stopping else max(0, min(wanted, self._limit - len(self._tasks) - self._reserved))
        self._reserved += room
        return room

    def start(self, activities: Iterable[Activity], reserved: int = 0) -> None:
        """Run activities that are this host's."""
        self._reserved -= reserved
        for activity in activities:
            task = asyncio.create_task(self._run(activity))
            self._tasks.add(task)
            task.add_done_callback(self._ended)
        if self._waiting:
            self.wake()

    def wake(self) -> None:
        """There may be activities to claim."""
        self._waiting = True
        if not self._claiming and not self._stopping and len(self._tasks) + self._reserved < self._limit:
            self._claiming = True
            self._claim_task = asyncio.create_task(self._claim())
            self._claim_task.add_done_callback(self._claimed)

    def close(self) -> None:
        """Claim none any more, and give nobody room for more."""
        self._stopping = True

    async def stop(self) -> None:
        """Start none any more; return when the running ones have been answered."""
        self.close()
        if self._claim_task is not None:
            await asyncio.wait([self._claim_task])
        while self._tasks:
            await asyncio.wait(self._tasks)

    def abandon(self) -> None:
        """Cancel the running ones: the hub gets them back."""
        for task in self._tasks:
            task.cancel()

    async def _claim(self) -> None:
        while self._waiting and not self._stopping and (room := self.reserve(self._limit)):
            self._waiting = False
            try:
                activities = await self._hub.claim_activities(room)
            except BaseException:
                self._reserved -= room
                raise
            self._waiting = self._waiting or len(activities) == room
            self._reserved -= room
            for activity in activities:
                task = asyncio.create_task(self._run(activity))
                self._tasks.add(task)
                task.add_done_callback(self._ended)

    def _claimed(self, claim: asyncio.Task[None]) -> None:
        self._claiming = False
        if not claim.cancelled() and (error := claim.exception()) is not None:
            self._failed(error)
            asyncio.get_running_loop().call_later(_RETRY_SECONDS, self.wake)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if self._waiting:
            self.wake()

    async def _run(self, activity: Activity) -> None:
        try:
            answer = await self._answer(activity)
            await self._hub.complete_activity(activity, answer)
        except OwnershipLostError:
            pass  # somebody else runs it by now, and answers
        except asyncio.CancelledError:
            with contextlib.suppress(Exception):
                await self._hub.release_activity(activity)
            raise
        except Exception as error:
            self._failed(error)
            await self._give_back(activity)

    async def _give_back(self, activity: Activity) -> None:
        """Let the hub have it again after a fault, as soon as the hub can."""
        while True:
            await asyncio.sleep(_RETRY_SECONDS)
            with contextlib.suppress(Exception):
                await self._hub.release_activity(activity)
                break
        self.wake()

    async def _answer(self, activity: Activity) -> Message:
        """Run it; its failure is an answer too."""
        try:
            if activity.name == HTTP_ACTIVITY:
                result = await self._http.run(activity.input)
            else:
                result = await self._worker.run_activity(activity.name, activity.input, activity.instance_id)
            text = events.task_completed(self._now(), activity.task_id, result)
            return self._message(activity, EventType.TASK_COMPLETED, text)
        except FunctionInvocationError as error:
            message, details = error.message, failures.details(error.message, error.text)
        except UnknownFunctionError:
            message = failures.unknown_function(activity.name, "an activity", self._worker.activities)
            details = failures.details(message, message)
        reason = failures.activity_reason(activity.name, message)
        text = events.task_failed(self._now(), activity.task_id, reason, details)
        return self._message(activity, EventType.TASK_FAILED, text)

    def _message(self, activity: Activity, kind: EventType, text: str) -> Message:
        return Message(activity.instance_id, kind, text, activity.task_id, activity.execution_id)

    def _now(self) -> str:
        return events.timestamp(self._clock.now())
