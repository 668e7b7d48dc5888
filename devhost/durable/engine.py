"""The Durable engine: takes instances that have messages from the hub, runs their episodes, commits them."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Awaitable, Callable

from devhost.clock import Clock
from devhost.durable.activities import ActivityRunner
from devhost.durable.entities import EntityRunner, is_entity
from devhost.durable.episode import EpisodeRunner
from devhost.durable.http_activity import HttpActivity
from devhost.durable.hub import OwnershipLostError, RuntimeStatus, TaskHub, Work
from devhost.durable.memory import Kept, Memory
from devhost.durable.options import DurableOptions
from devhost.durable.pacing import Pacer
from devhost.durable.worker import Worker

_RETRY_SECONDS = 1.0
_REJECTED_SECONDS = 5.0


class _Queue:
    """Runs one episode at a time of each instance, and at most `limit` at once."""

    def __init__(
        self, limit: int, run: Callable[[str], Awaitable[None]], again: Callable[[str, int], None] | None = None
    ) -> None:
        """`again(instance_id, count)` is called after an episode during which that many messages came; by default it is
        followed by the next at once."""
        self._limit = limit
        self._run = run
        self._ask_again = again or (lambda instance_id, count: self.add(instance_id))
        self._waiting: deque[str] = deque()
        self._known: set[str] = set()
        self._again: dict[str, int] = {}
        self._stopping = False
        self.tasks: set[asyncio.Task[None]] = set()

    def add(self, instance_id: str) -> None:
        """This instance has something to do."""
        if self._stopping:
            return
        if instance_id in self._known:
            self._again[instance_id] = self._again.get(instance_id, 0) + 1
            return
        self._known.add(instance_id)
        self._waiting.append(instance_id)
        self._next()

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits or runs."""
        return not self.tasks and not self._waiting

    def stop(self) -> None:
        """Begin nothing any more."""
        self._stopping = True
        self._waiting.clear()

    def _next(self) -> None:
        while self._waiting and len(self.tasks) < self._limit:
            instance_id = self._waiting.popleft()
            self._again.pop(instance_id, None)  # what came while it waited is fetched with the rest
            task = asyncio.create_task(self._run(instance_id), name=instance_id)
            self.tasks.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self.tasks.discard(task)
        instance_id = task.get_name()
        self._known.discard(instance_id)
        count = self._again.pop(instance_id, 0)
        if count and not self._stopping:
            self._ask_again(instance_id, count)
        self._next()


class Engine:
    """Runs the durable functions of one host."""

    def __init__(
        self,
        hub: TaskHub,
        worker: Worker,
        clock: Clock,
        options: DurableOptions,
        failed: Callable[[BaseException], None],
        http: HttpActivity | None = None,
    ) -> None:
        """`failed` is told of faults of the hub or of the engine itself."""
        self._hub = hub
        self._failed = failed
        self._http = http or HttpActivity()
        self._memory = Memory()
        self._pacer = Pacer(lambda instance_id: self._orchestrations.add(instance_id))
        self._episodes = EpisodeRunner(worker, options, clock.now)
        self._batches = EntityRunner(worker, options, clock.now)
        self._orchestrations = _Queue(
            options.max_concurrent_orchestrators, self._run_orchestration, self._pacer.arrived
        )
        self._entities = _Queue(options.max_concurrent_entities, self._run_entity)
        self._activities = ActivityRunner(hub, worker, clock, options.max_concurrent_activities, self._http, failed)
        self._has_functions = bool(worker.orchestrators or worker.activities or worker.entities)
        self._rejected: dict[str, float] = {}
        self._stopping = False

    async def start(self) -> None:
        """Open the hub and begin to work. Without durable functions only clients are served: as in the real host, where
        the worker starts with the first durable trigger's listener, the instances are left to other hosts."""
        if self._has_functions:
            await self._hub.start(self._ready, self._activities.wake)
        else:
            await self._hub.start(lambda instance_id: None, lambda: None)

    async def stop(self) -> None:
        """Take no more work; when what runs has been committed, leave the hub.

        When this is cancelled, what still runs is given back to the hub undone.
        """
        self._stopping = True
        self._pacer.clear()
        self._activities.close()
        for queue in (self._orchestrations, self._entities):
            queue.stop()
        try:
            await self._all_ended()
        except asyncio.CancelledError:
            self.abandon()
            await self._all_ended()
            raise
        finally:
            await self._hub.close()
            await self._http.close()

    def abandon(self) -> None:
        """Cancel what runs: a lost worker is no failure, the hub hands the work out again."""
        self._activities.abandon()
        for task in (*self._orchestrations.tasks, *self._entities.tasks):
            task.cancel()

    async def is_idle(self) -> bool:
        """Whether nothing runs and nothing could run now; timers of the future do not count."""
        if not self._has_functions:
            return True
        idle = self._orchestrations.is_idle and self._entities.is_idle and self._activities.is_idle
        return idle and not self._pacer.is_waiting and await self._hub.is_idle()

    async def _all_ended(self) -> None:
        while tasks := (*self._orchestrations.tasks, *self._entities.tasks):
            await asyncio.wait(tasks)
        # Only now: an episode that was under way may have started activities for which it had room.
        await self._activities.stop()

    def _ready(self, instance_id: str) -> None:
        if self._stopping:
            return
        if is_entity(instance_id):
            self._entities.add(instance_id)
        else:
            self._pacer.arrived(instance_id)

    # --- orchestrations ---------------------------------------------------------------------------------------------

    async def _run_orchestration(self, instance_id: str) -> None:
        if self._is_rejected(instance_id):
            return
        self._pacer.forget(instance_id)
        kept = self._memory.take(instance_id)
        work = await self._fetch(instance_id, kept)
        if work is None:
            return
        async with _Guard(self, work):
            known = kept.execution if kept is not None and work.history is None else None
            episode = await self._episodes.run(work, known)
            if episode is None:
                if work.instance.status != RuntimeStatus.SUSPENDED:
                    self._rejected[instance_id] = time.monotonic() + _REJECTED_SECONDS
                await self._hub.release(work)
                return
            commit, execution = episode.commit, episode.execution
            room = self._activities.reserve(len(commit.activities))
            try:
                activities = await self._hub.commit(work, commit, room)
            except BaseException:
                self._activities.start((), room)
                raise
            if execution is not None:
                self._memory.put(instance_id, Kept(work.revision, execution))
                everything_was_taken = len(work.messages) == len(commit.consumed) + len(commit.deferred)
                if everything_was_taken and execution.replay is not None:
                    self._pacer.replayed(
                        instance_id, execution.event_count, execution.replay_seconds, execution.replay.open_work()
                    )
            self._activities.start(activities, room)

    def _is_rejected(self, instance_id: str) -> bool:
        """Another host is to run it: asking again at once, two such hosts would keep each other busy."""
        until = self._rejected.get(instance_id)
        if until is None:
            return False
        if time.monotonic() < until:
            return True
        del self._rejected[instance_id]
        return False

    async def _fetch(self, instance_id: str, kept: Kept | None) -> Work | None:
        try:
            work = await self._hub.fetch(instance_id, kept.revision if kept is not None else None)
        except Exception as error:
            self._fault(instance_id, error)
            return None
        if work is None and kept is not None:
            self._memory.put(instance_id, kept)
        return work

    # --- entities ---------------------------------------------------------------------------------------------------

    async def _run_entity(self, instance_id: str) -> None:
        kept = self._memory.take(instance_id)
        work = await self._fetch(instance_id, kept)
        if work is None:
            return
        async with _Guard(self, work):
            known = kept.entity_state if kept is not None and work.history is None else None
            commit, state = await self._batches.run(work, known)
            await self._hub.commit(work, commit, 0)
            self._memory.put(instance_id, Kept(work.revision, None, state))

    # --- faults -----------------------------------------------------------------------------------------------------

    def _fault(self, instance_id: str, error: BaseException) -> None:
        self._failed(error)
        asyncio.get_running_loop().call_later(_RETRY_SECONDS, self._ready, instance_id)

    async def _give_back(self, work: Work) -> None:
        with contextlib.suppress(Exception):
            await self._hub.release(work)


class _Guard:
    """Whatever goes wrong between fetch and commit, the work goes back to the hub."""

    def __init__(self, engine: Engine, work: Work) -> None:
        self._engine = engine
        self._work = work

    async def __aenter__(self) -> None:
        return None

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        if error is None:
            return False
        if isinstance(error, OwnershipLostError):
            return True  # whoever took the instance over has its messages too
        await self._engine._give_back(self._work)
        if isinstance(error, Exception):
            self._engine._fault(self._work.instance.id, error)
            return True
        return False
