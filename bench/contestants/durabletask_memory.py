"""Microsoft's `durabletask` on its in-memory backend: backend, worker and client in one process, talking gRPC.

The backend makes nothing durable; it is the only one in the package that runs without a service. Concurrency limits are
the package's defaults.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from durabletask import task
from durabletask.client import OrchestrationState, TaskHubGrpcClient
from durabletask.testing import create_test_backend
from durabletask.worker import TaskHubGrpcWorker

from bench import process
from bench.workload import CITIES

TIMEOUT_SECONDS = 120


def say_hello(context: task.ActivityContext, name: str) -> str:
    return f"Hello {name}!"


def hello_chain(context: task.OrchestrationContext, _: None):
    greetings = []
    for city in CITIES:
        greeting = yield context.call_activity(say_hello, input=city)
        greetings.append(greeting)
    return greetings


def fan_out(context: task.OrchestrationContext, width: int):
    greetings = yield task.when_all([context.call_activity(say_hello, input=str(n)) for n in range(width)])
    return greetings


class DurableTask:
    """The package's worker and client on its test backend."""

    name = "durabletask"

    def __init__(self) -> None:
        port = process.free_port()
        address = f"localhost:{port}"
        self._backend = create_test_backend(port=port)
        self._worker = TaskHubGrpcWorker(host_address=address)
        self._worker.add_orchestrator(hello_chain)
        self._worker.add_orchestrator(fan_out)
        self._worker.add_activity(say_hello)
        self._client = TaskHubGrpcClient(host_address=address)

    def start(self) -> float:
        self._worker.start()
        return process.spawned_at()

    def run(self, orchestration: str, inputs: Sequence[int | None]) -> Sequence[OrchestrationState | None]:
        # A wait returns when the backend says so (no polling), so waiting in turn ends with the last completion.
        instances = [self._client.schedule_new_orchestration(orchestration, input=width) for width in inputs]
        return [
            self._client.wait_for_orchestration_completion(instance, timeout=TIMEOUT_SECONDS) for instance in instances
        ]

    def result(self, handle: OrchestrationState | None) -> Any:
        if handle is None:
            return None
        handle.raise_if_failed()
        return handle.get_output()

    def memory_bytes(self) -> int:
        return process.memory_bytes()

    def stop(self) -> None:
        self._worker.stop()
        self._backend.stop()


def create(directory: Path) -> DurableTask:
    """The contestant; it writes nothing to `directory`."""
    return DurableTask()
