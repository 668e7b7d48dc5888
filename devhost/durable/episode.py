"""One episode of an orchestration: new messages and the history go in, a commit comes out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from time import perf_counter
from uuid import uuid4

from devhost.durable import events, failures, versions
from devhost.durable.determinism import NonDeterministicOrchestrationError
from devhost.durable.execution import Execution
from devhost.durable.hub import Commit, EventType, Message, RuntimeStatus, Work
from devhost.durable.intake import Intake, take
from devhost.durable.options import DurableOptions
from devhost.durable.outcome import Answer, StateError
from devhost.durable.scheduling import Schedule, Scheduler
from devhost.durable.worker import UnknownFunctionError, Worker
from devhost.invocation import FunctionInvocationError

SHORT_REPLAY_EVENTS = 100
"""Up to so many events a replay takes a few milliseconds."""


@dataclass(slots=True)
class Episode:
    """The result of an episode."""

    commit: Commit
    execution: Execution | None
    """To be kept for the next episode; None when there will be none or the history starts afresh."""


@dataclass(slots=True)
class EpisodeRunner:
    """Runs episodes with one worker."""

    worker: Worker
    options: DurableOptions
    now: Callable[[], datetime]

    async def run(self, work: Work, known: Execution | None) -> Episode | None:
        """Run one episode. `known` is the execution of the last one, if the revision is still the same; it is changed
        and must be forgotten when the episode comes to nothing.

        Returns None when there is nothing to do: the messages stay where they are. Raises CancelledError when the
        worker is lost; nothing has happened then.
        """
        intake = take(work, known, self._may_start)
        if intake.waits:
            return None
        if intake.execution is None:
            return Episode(Commit(work.instance, intake.dropped), None)
        run = _Run(self, work, intake)
        if intake.terminated is not None:
            return run.terminate()
        if intake.suspended is not None:
            return run.suspend()
        if not intake.accepted:
            return Episode(run.commit, intake.execution)
        return await run.replay()

    def _may_start(self, version: str) -> bool:
        return self.options.version_failure == "fail" or versions.is_match(version, self.options)


class _Run:
    def __init__(self, runner: EpisodeRunner, work: Work, intake: Intake) -> None:
        self._worker = runner.worker
        self._options = runner.options
        self._intake = intake
        self._execution = intake.execution
        self._now = runner.now()
        self._at = events.timestamp(self._now)
        self._instance = replace(work.instance, updated=self._now)
        self.commit = Commit(self._instance, [*intake.dropped, *intake.accepted], deferred=intake.deferred)
        if intake.started:
            self._start()
        if intake.resumed:
            self._instance.status = RuntimeStatus.RUNNING
            self.commit.output = None

    def _start(self) -> None:
        execution, instance = self._execution, self._instance
        if instance.execution_id == execution.id:
            return
        # A sub-orchestration's id that has been used before.
        instance.generation += 1
        instance.created, instance.custom_status = self._now, None
        instance.execution_id, instance.name, instance.version = execution.id, execution.name, execution.version
        self.commit.restart = True
        self.commit.input, self.commit.output = execution.input, None

    # --- without the orchestrator -----------------------------------------------------------------------------------

    def terminate(self) -> Episode:
        """A client ends it; its activities finish unseen, its children go on (durable.md §7)."""
        message = self._intake.terminated
        self.commit.consumed.append(message)
        reason = str(message.key or "")
        return self._end(RuntimeStatus.TERMINATED, reason, [*self._intake.accepted, message])

    def suspend(self) -> Episode:
        """A client halts it: what comes from now on waits in the hub."""
        message = self._intake.suspended
        self.commit.consumed.append(message)
        self._instance.status = RuntimeStatus.SUSPENDED
        self.commit.output = str(message.key or "")
        return self._go_on([message], Schedule(), None)

    # --- with the orchestrator --------------------------------------------------------------------------------------

    async def replay(self) -> Episode:
        """Ask the orchestrator what follows from the accepted messages."""
        execution, accepted = self._execution, self._intake.accepted
        if self._intake.started and not versions.is_match(execution.version, self._options):
            return self._fail(versions.mismatch_text(execution.version, self._options))
        payload = execution.payload([events.orchestrator_started(self._at), *(m.text for m in accepted)])
        began = perf_counter()
        answer = await self._ask(payload, execution.event_count + len(accepted) <= SHORT_REPLAY_EVENTS)
        execution.replay_seconds = perf_counter() - began
        if answer.custom_status is not None:
            self._instance.custom_status = answer.custom_status
        if answer.actions is None:
            return self._fail(answer.error)
        try:
            schedule = self._schedule(answer)
        except (NonDeterministicOrchestrationError, StateError) as error:
            return self._fail(str(error))
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            return self._fail(f"the orchestrator's answer holds an action that the host cannot read ({error!r})")
        return self._conclude(answer, schedule)

    async def _ask(self, payload: str, is_short: bool) -> Answer:
        execution = self._execution
        try:
            state = await self._worker.run_orchestrator(execution.name, payload, execution.instance_id, is_short)
            return Answer.from_state(state)
        except FunctionInvocationError as error:
            return Answer.from_failure(error)
        except UnknownFunctionError:
            known = self._worker.orchestrators
            return Answer(None, error=failures.unknown_function(execution.name, "an orchestrator", known))
        except StateError as error:
            return Answer(None, error=str(error))

    def _schedule(self, answer: Answer) -> Schedule:
        execution = self._execution
        if execution.replay is None:
            execution.rebuild(answer.actions)
            execution.replay.begin()
            for message in self._intake.accepted:
                execution.replay.admit(message.type, message.key, message.text)
        replay = execution.replay
        replay.extend(answer.actions)
        if replay.next_id > self._options.max_orchestration_actions:
            raise StateError(
                f"Maximum amount of orchestration actions ({self._options.max_orchestration_actions:,}) has been "
                "reached. This value can be configured in host.json file as maxOrchestrationActions."
            )
        tasks = replay.decisions()
        schedule = Scheduler(execution, self._now, self._options, self._check_function, answer.schema_version).schedule(
            tasks
        )
        replay.scheduled(tasks)
        return schedule

    def _check_function(self, kind: str, name: str) -> None:
        if not self._worker.has(kind, name):
            article, known = (
                ("an activity", self._worker.activities)
                if kind == "activity"
                else ("an orchestrator", self._worker.orchestrators)
            )
            raise StateError(failures.unknown_function(name, article, known))

    def _conclude(self, answer: Answer, schedule: Schedule) -> Episode:
        replay = self._execution.replay
        replay.has_ended = answer.error is not None or answer.is_done
        if not replay.has_ended or replay.is_blocked or replay.has_open_tasks():
            return self._go_on(self._intake.accepted, schedule, replay.action_count)
        if answer.error is None and replay.continued:
            return self._continue_as_new(schedule)
        if answer.error is not None:
            return self._fail(answer.error, schedule)
        return self._end(RuntimeStatus.COMPLETED, answer.output, self._intake.accepted, schedule)

    # --- how an episode ends ----------------------------------------------------------------------------------------

    def _go_on(self, messages: list[Message], schedule: Schedule, action_count: int | None) -> Episode:
        execution, commit = self._execution, self.commit
        self._record(messages, [*schedule.events, events.orchestrator_completed(self._at, action_count)])
        commit.messages, commit.activities = schedule.messages, schedule.activities
        if self._instance.status != RuntimeStatus.SUSPENDED:
            self._instance.status = RuntimeStatus.RUNNING
        commit.keep = execution.replay is not None and execution.replay.open_work() > 0
        execution.append(commit.events)
        return Episode(commit, execution)

    def _fail(self, error: str, schedule: Schedule | None = None) -> Episode:
        text = failures.orchestrator_failed(self._execution.name, error)
        return self._end(RuntimeStatus.FAILED, text, self._intake.accepted, schedule)

    def _end(
        self, status: RuntimeStatus, output: str | None, messages: list[Message], schedule: Schedule | None = None
    ) -> Episode:
        execution, commit, schedule = self._execution, self.commit, schedule or Schedule()
        replay = execution.replay
        if replay is not None:
            next_id = replay.next_id
        else:
            next_id = max((event["EventId"] for event in execution.parsed), default=-1) + 1
        ended = events.execution_completed(self._at, next_id, status, output)
        self._record(messages, [*schedule.events, ended, events.orchestrator_completed(self._at)])
        commit.messages, commit.activities = schedule.messages, schedule.activities
        self._instance.status, commit.output = status, output
        if execution.parent is not None:
            commit.messages.append(self._answer_parent(status, output))
        return Episode(commit, None)

    def _continue_as_new(self, schedule: Schedule) -> Episode:
        execution, commit, accepted = self._execution, self.commit, self._intake.accepted
        carried = [accepted[index] for index in execution.replay.unclaimed_after_end()]
        commit.consumed = [message for message in commit.consumed if message not in carried]
        new_input = execution.replay.continued_with
        commit.input = None if new_input is None else events.quote(new_input)
        new_id = uuid4().hex
        start = events.execution_started(
            self._at,
            instance_id=execution.instance_id,
            execution_id=new_id,
            name=execution.name,
            version=execution.version,
            input=commit.input,
            parent=execution.parent_event,
            generation=self._instance.generation,
        )
        start_message = Message(execution.instance_id, EventType.EXECUTION_STARTED, start, execution_id=new_id)
        commit.restart = True
        commit.messages, commit.activities = [*schedule.messages, start_message], schedule.activities
        self._instance.execution_id, self._instance.status = new_id, RuntimeStatus.RUNNING
        commit.keep = True
        return Episode(commit, None)

    def _record(self, messages: list[Message], following: list[str]) -> None:
        played = [events.mark_played(message.text) for message in messages]
        self.commit.events = [events.orchestrator_started(self._at), *played, *following]

    def _answer_parent(self, status: RuntimeStatus, output: str | None) -> Message:
        parent = self._execution.parent
        if status == RuntimeStatus.COMPLETED:
            kind = EventType.SUB_ORCHESTRATION_COMPLETED
            text = events.sub_orchestration_completed(self._at, parent.task_id, output)
        else:
            kind = EventType.SUB_ORCHESTRATION_FAILED
            details = failures.details(output or "", output or "")
            text = events.sub_orchestration_failed(self._at, parent.task_id, output or "", details)
        return Message(parent.instance_id, kind, text, parent.task_id, parent.execution_id)
