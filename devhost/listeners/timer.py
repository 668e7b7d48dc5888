"""The timer trigger: runs a function at the times of its schedule, on one of the app's hosts (functions-host.md §6)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Awaitable
from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING, Any

from azure.functions.meta import Datum

from devhost.datum import to_metadata
from devhost.dotnet_time import invariant, invariant_with_offset, round_trip
from devhost.errors import DevhostError, MissingConnectionError
from devhost.invocation import FunctionInvocationError, TriggerData
from devhost.listeners.timer_status import NEVER, ScheduleStatus, StatusBlob
from devhost.schedule import Schedule, local_zone, occurrences, read_schedule
from devhost.singleton import SingletonLock
from devhost.storage.errors import StorageError, StorageUnavailableError

if TYPE_CHECKING:
    from devhost.functions import Function
    from devhost.host import Host

_log = logging.getLogger("devhost.timers")

_SHOWN = 5
_READ_AGAIN = 1.0


class TimerListener:
    """Waits on the host's clock for one function's occurrences, while this host holds the function's lock.

    The lock and its lease live in real time: however far a virtual clock jumps, what is due then runs under the lock.
    """

    def __init__(self, host: Host, function: Function) -> None:
        """Raises what StorageAccounts.account raises, ScheduleError, HostJsonError, and what local_zone raises."""
        properties = function.trigger.properties
        self._host = host
        self.function = function
        self._zone = local_zone(host.settings)
        self._schedule = read_schedule(properties["schedule"], self._zone)
        self._runs_on_startup = bool(properties.get("runOnStartup"))
        self._lock = SingletonLock(host, f"Host.Functions.{function.name}.Listener")
        self._blob: StatusBlob | None = None
        if properties.get("useMonitor", True) and not self._schedule.is_sub_minute:
            self._blob = StatusBlob(host, function.name, self._zone)
        self._status: ScheduleStatus | None = None
        """What this host knows; newer than what is stored if storage was away after a run."""
        self._stopping = asyncio.Event()
        self._busy = False
        self._waiting = False
        """Whether the clock knows that somebody waits for the next occurrence."""
        self._loop: asyncio.Task[None] | None = None

    @property
    def runs_elsewhere(self) -> bool:
        """Whether another host holds the function's lock, or did until it was killed and its lease has not run out."""
        return not self._lock.is_held

    async def start(self) -> None:
        """Begin to wait; returns once it is known whether this host has the lock."""
        self._stopping.clear()
        try:
            self._busy = await self._lock.try_acquire()
        except StorageError as error:
            raise DevhostError(
                f"The timer '{self.function.name}' cannot have its lock: {error}",
                "Check the connection AzureWebJobsStorage: it must allow blobs to be written.",
            ) from error
        self._loop = asyncio.create_task(self._run(self._runs_on_startup), name=f"timer {self.function.name}")

    async def stop(self) -> None:
        """Fire no more, wait for the run under way, and give the lock to another host."""
        if self._loop is None:
            return
        self._stopping.set()
        await asyncio.wait({self._loop})
        self._loop = None
        await self._lock.release()

    async def is_idle(self) -> bool:
        """Nothing runs and nothing is due, here or, as far as is known, on the host that holds the lock."""
        if self._busy or self._lock.is_trying:
            return False
        return not self._lock.is_held or (self._waiting and self._status.next > self._host.clock.now())

    async def _run(self, run_on_startup: bool) -> None:
        while not self._stopping.is_set():
            try:
                if self._lock.is_held or await self._before_stop(self._lock.acquire()):
                    self._busy = True
                    await self._watch(run_on_startup)
                    run_on_startup = False
            except Exception as error:
                self._host.failed(error)
                self._busy = False
                return

    async def _watch(self, run_on_startup: bool) -> None:
        """Fire at each occurrence until stop(), or until the lock is lost."""
        past_due = await self._begin()
        if self._stopping.is_set():
            return
        if past_due:
            _log.debug("Function '%s' is past due on startup. Executing now.", self.function.name)
            await self._fire("IsPastDue")
        elif run_on_startup:
            _log.debug("Function '%s' is configured to run on startup. Executing now.", self.function.name)
            await self._fire("RunOnStartup")
        while await self._wait_for_next():
            await self._fire()

    async def _wait_for_next(self) -> bool:
        """True when it is time; False when this host has nothing to wait for any more."""
        due = asyncio.ensure_future(self._host.clock.sleep_until(self._status.next))
        await asyncio.sleep(0)  # it has begun to wait
        self._busy, self._waiting = False, True
        try:
            came = await self._before_stop(due, self._lock.lost)
        finally:
            self._waiting = False
        # What came due during the last run is not begun any more when the host ends: the next start finds it past due.
        return came and self._lock.is_held and not self._stopping.is_set()

    async def _begin(self) -> bool:
        """Take up the stored status. Whether an occurrence was missed while nobody watched."""
        stored = await self._read() if self._blob is not None else None
        now = self._host.clock.now()
        known = max((s for s in (stored, self._status) if s is not None), key=lambda status: status.last, default=None)
        if known is None or self._blob is None:
            self._status = ScheduleStatus(NEVER, self._schedule.next(now), NEVER)
            await self._save(ScheduleStatus(NEVER, self._status.next, now))
        else:
            self._status = known.checked(self._schedule, now)
            if self._status != stored:
                await self._save(self._status)
        self._announce(now)
        return self._blob is not None and now > self._status.next

    async def _read(self) -> ScheduleStatus | None:
        while True:
            try:
                return await self._blob.read()
            except StorageUnavailableError as error:
                if self._stopping.is_set():
                    raise
                self._host.outages.report(self._blob.service.name, error.__cause__ or error)
            await self._before_stop(asyncio.sleep(_READ_AGAIN))

    async def _fire(self, unscheduled: str = "") -> None:
        """One run. What comes due meanwhile is one run, straight after; whatever its outcome, the status moves on."""
        self._busy = True
        now = self._host.clock.now()
        status = self._status
        details = f"UnscheduledInvocationReason: {unscheduled}" if unscheduled else ""
        if unscheduled == "IsPastDue":
            details += f", OriginalSchedule: {round_trip(status.next, self._zone)}"
        shown = status if self._blob is not None else None
        trigger = timer_data(self._schedule, shown, now, self._zone, unscheduled == "IsPastDue")
        trigger.reason, trigger.details = f"Timer fired at {round_trip(now, self._zone)}", details
        with contextlib.suppress(FunctionInvocationError):  # it is in the log; the schedule goes on
            await self._host.invoke(self.function, trigger)
        # A clock that was set back may have fired early: counting from now would give the same occurrence again.
        last = now if unscheduled else max(now, status.next)
        self._status = ScheduleStatus(last, self._schedule.next(last), last)
        await self._save(self._status)

    async def _save(self, status: ScheduleStatus) -> None:
        """Store the status, at best: without storage the run has been, and the lock will be lost soon."""
        if self._blob is None:
            return
        try:
            await self._blob.save(status)
        except StorageUnavailableError as error:
            self._host.outages.report(self._blob.service.name, error.__cause__ or error)
        except StorageError as error:
            _log.error("Function '%s' failed to update the timer trigger status: %s", self.function.name, error)

    def _announce(self, now: datetime) -> None:
        lines = [self._shown(moment) for moment in occurrences(self._schedule, now, _SHOWN)]
        _log.info(
            "The next %d occurrences of the '%s' schedule (%s) will be:\n%s",
            _SHOWN, self.function.name, self._schedule, "\n".join(lines),
        )  # fmt: skip

    def _shown(self, moment: datetime) -> str:
        texts = dict.fromkeys(invariant_with_offset(moment, zone) for zone in (self._zone, UTC))
        return " ".join(f"({text})" if number else text for number, text in enumerate(texts))

    async def _before_stop(self, work: Awaitable[Any], *others: asyncio.Event) -> bool:
        """Wait for `work`, but no longer than until stop() or one of the events. Whether it was done."""
        waits = [asyncio.ensure_future(event.wait()) for event in (self._stopping, *others)]
        task = asyncio.ensure_future(work)
        try:
            await asyncio.wait({task, *waits}, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                task.result()
            return task.done()
        finally:
            for wait in (task, *waits):
                wait.cancel()


async def manual_timer_data(host: Host, function: Function, at: datetime | None) -> TriggerData:
    """What the function is given when it is run by hand, as if for the occurrence `at`; the stored status stays."""
    zone = local_zone(host.settings)
    schedule = read_schedule(function.trigger.properties["schedule"], zone)
    status = None
    if function.trigger.properties.get("useMonitor", True) and not schedule.is_sub_minute:
        try:
            status = await StatusBlob(host, function.name, zone).read()
        except (StorageError, StorageUnavailableError, MissingConnectionError) as error:
            _log.warning("The status of '%s' cannot be read: %s", function.name, error)
    if at is not None:
        last, updated = (status.last, status.last_updated) if status else (NEVER, NEVER)
        status = ScheduleStatus(last, at, updated)
    return timer_data(schedule, status, host.clock.now(), zone)


def timer_data(
    schedule: Schedule, status: ScheduleStatus | None, now: datetime, zone: tzinfo, is_past_due: bool = False
) -> TriggerData:
    """What the function is given (functions-host.md §2.2)."""
    document = {
        "Schedule": {"AdjustForDST": schedule.adjusts_for_dst},
        "ScheduleStatus": status.document(zone) if status is not None else None,
        "IsPastDue": is_past_due,
    }
    data = {"TimerTrigger": invariant(now, zone)}
    return TriggerData(Datum(json.dumps(document), "json"), to_metadata(data), binding_data=data)
