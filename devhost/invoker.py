"""Runs invocations: decode, call, encode, write the outputs, retry, and say so in the log."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from azure.functions.meta import Datum

from devhost import logs
from devhost.bindings import create_input, create_output
from devhost.context import Context, Out, RetryContext, RpcException
from devhost.converters import GenericConverter, decode, encode
from devhost.deferred import DeferredConverter
from devhost.invocation import FunctionInvocationError, InvocationRecord, TriggerData
from devhost.timespan import format_timespan
from devhost.user_code import Raised, as_exception, call_async, call_sync, failure_of

if TYPE_CHECKING:
    from devhost.bindings import InputBinding, OutputBinding
    from devhost.functions import Function
    from devhost.host import Host
    from devhost.signature import Parameter


class FunctionTimeoutError(Exception):
    """An invocation ran longer than host.json's functionTimeout."""


class _Call:
    """Everything about calling one function that can be worked out before its first invocation."""

    __slots__ = ("function", "short", "log", "readers", "writers", "http", "implicit", "wants_data")

    def __init__(self, host: Host, function: Function) -> None:
        signature = function.signature
        self.function = function
        self.short = f"Functions.{function.name}"
        self.log = logging.getLogger(f"Function.{function.name}")
        self.readers: list[tuple[Parameter, InputBinding]] = [
            (parameter, create_input(host, parameter.binding)) for parameter in signature.inputs
        ]
        self.writers: dict[str, OutputBinding] = {
            binding.name: create_output(host, binding) for binding in function.outputs if binding.type != "http"
        }
        self.http: str | None = next((b.name for b in function.outputs if b.type == "http"), None)
        self.implicit = signature.returns is not None and not signature.has_explicit_return
        self.wants_data = bool(self.readers or self.writers)


class Invoker:
    """The host's only way to call a function."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._calls: dict[str, _Call] = {}
        self._pool = ThreadPoolExecutor(_thread_count(host.settings.get("PYTHON_THREADPOOL_THREAD_COUNT")), "function")
        self._timeout: timedelta | None = host.json.function_timeout
        self._stopping = asyncio.Event()
        self.running: dict[str, str] = {}
        """Invocation id → function name, for what runs now."""
        self.retrying = 0
        """How many of them wait for a retry."""
        self.started = 0
        """How many have been started since the host is up."""
        self.observers: list[Callable[[InvocationRecord], None]] = []
        """Told of each attempt that ends."""

    def stop_retrying(self) -> None:
        """Let invocations that wait for a retry fail now."""
        self._stopping.set()

    def close(self) -> None:
        """Give up the thread pool. A function that still runs in it ends with the process, not before."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def prepare(self, function: Function) -> _Call:
        """Make the bindings of a function. Raises the DevhostError of one that cannot work."""
        call = self._calls[function.name] = _Call(self._host, function)
        return call

    async def invoke(self, function: Function, trigger: TriggerData) -> Datum | None:
        """Run one invocation, retries included: what goes back to the trigger, or FunctionInvocationError."""
        call = self._calls.get(function.name) or self.prepare(function)
        identifier = str(uuid4())
        self.started += 1
        self.running[identifier] = function.name
        logs.invocation_started(identifier, function.name)
        try:
            if function.retry_policy is None:
                return await self._attempt(call, trigger, identifier, None)
            return await self._with_retries(call, trigger, identifier)
        finally:
            del self.running[identifier]
            logs.invocation_ended(identifier)

    async def _with_retries(self, call: _Call, trigger: TriggerData, identifier: str) -> Datum | None:
        policy = call.function.retry_policy
        retries, failure, attempt_id = 0, None, identifier
        while True:
            context = RetryContext(retries, policy.max_retries, failure)
            try:
                return await self._attempt(call, trigger, attempt_id, context)
            except FunctionInvocationError as error:
                if not policy.allows(retries):
                    call.log.error("Function execution failed after '%d' retries.", retries)
                    raise
                failure = RpcException(call.short, error.stack, error.message)
                delay = policy.delay(retries)
                retries += 1
                call.log.warning(
                    "Waiting for `%s` before retrying function execution. Next attempt: '%d'. Max retry count: '%d'.",
                    format_timespan(delay), retries, policy.max_retries,
                )  # fmt: skip
                if await self._stopped_within(delay):
                    raise
            if call.function.trigger.type == "httpTrigger":  # only triggered runs keep their id (§8)
                logs.invocation_ended(attempt_id)
                attempt_id = str(uuid4())
                logs.invocation_started(attempt_id, call.function.name)

    async def _stopped_within(self, delay: timedelta) -> bool:
        self.retrying += 1
        try:
            async with asyncio.timeout(delay.total_seconds()):
                await self._stopping.wait()
            return True
        except TimeoutError:
            return False
        finally:
            self.retrying -= 1

    async def _attempt(
        self, call: _Call, trigger: TriggerData, identifier: str, retry: RetryContext | None
    ) -> Datum | None:
        log = call.log
        log.info("Executing '%s' (Reason='%s', Id=%s)", call.short, trigger.reason, identifier)
        if trigger.details:
            log.info("Trigger Details: %s", trigger.details)
        began = time.perf_counter()
        try:
            answer = await self._run(call, trigger, identifier, retry)
        except asyncio.CancelledError:
            log.error("Executed '%s' (Failed, Id=%s, Duration=%dms): the host stopped it.",
                      call.short, identifier, _since(began))  # fmt: skip
            self._record(call, identifier, began, FunctionInvocationError("CancelledError: the host stopped it"))
            raise
        except Exception as error:
            failure = failure_of(error)
            log.error("Executed '%s' (Failed, Id=%s, Duration=%dms)\n%s",
                      call.short, identifier, _since(began), failure.text)  # fmt: skip
            self._record(call, identifier, began, failure)
            raise failure from error
        log.info("Executed '%s' (Succeeded, Id=%s, Duration=%dms)", call.short, identifier, _since(began))
        if self.observers:
            self._record(call, identifier, began, None)
        return answer

    def _record(self, call: _Call, identifier: str, began: float, error: FunctionInvocationError | None) -> None:
        record = InvocationRecord(call.function.name, identifier, time.perf_counter() - began, error)
        for observer in self.observers:
            observer(record)

    async def _run(
        self, call: _Call, trigger: TriggerData, identifier: str, retry: RetryContext | None
    ) -> Datum | None:
        function, signature = call.function, call.function.signature
        data = _binding_data(trigger, function.name, identifier) if call.wants_data else trigger.binding_data
        entry = signature.trigger
        arguments = {entry.binding.name: await self._decode(entry, trigger.value, trigger.metadata)}
        if call.readers:
            values = await asyncio.gather(*(reader.read(data) for _, reader in call.readers))
            for (parameter, _), value in zip(call.readers, values, strict=True):
                metadata = trigger.metadata if parameter.converter.has_trigger_support() else {}
                arguments[parameter.binding.name] = await self._decode(parameter, value, metadata)
        for writer in call.writers.values():
            writer.check(data)
        if signature.wants_context:
            arguments["context"] = Context(function.name, function.directory, identifier, retry)
        for parameter in signature.outputs:
            arguments[parameter.binding.name] = Out()

        if trigger.inline and not function.is_async:
            result = call_sync(function.callable, arguments, identifier)
        else:
            result = await self._call(call, arguments, identifier)
        if type(result) is Raised:
            raise result.error if isinstance(result.error, Exception) else as_exception(result.error)
        sys.stdout.flush()
        if not (signature.outputs or call.writers):
            return self._returned(call, result)
        return await self._write(call, arguments, result, data)

    async def _decode(self, parameter: Parameter, value: Datum, metadata: Mapping[str, Datum]) -> Any:
        if not isinstance(parameter.converter, DeferredConverter):
            return decode(parameter.converter, value, metadata)
        # The SDK object is made in a thread: making it may ask the service (StorageStreamDownloader does).
        work = partial(decode, parameter.converter, value, metadata)
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    def _returned(self, call: _Call, result: Any) -> Datum | None:
        returns = call.function.signature.returns
        if returns is not None:
            return encode(returns.converter, result, returns.pytype)
        if result is not None:
            raise RuntimeError(
                f"the function '{call.function.name}' returned a {type(result).__name__}, but nothing is bound to its "
                "return value: return None, or bind an output to $return"
            )
        return None

    async def _write(
        self, call: _Call, arguments: dict[str, Any], result: Any, data: Mapping[str, Any]
    ) -> Datum | None:
        values: dict[str, Datum] = {}
        for parameter in call.function.signature.outputs:
            value = arguments[parameter.binding.name].get()
            if value is not None:
                values[parameter.binding.name] = encode(parameter.converter, value, parameter.pytype)
        answer = self._returned(call, result)
        if call.function.signature.has_explicit_return:
            values["$return"] = answer
        elif call.implicit and answer is not None and not call.function.is_durable:
            values = _named_outputs(answer, call.writers) | values
        writes = [call.writers[name].write(value, data) for name, value in values.items() if name in call.writers]
        if len(writes) == 1:
            await writes[0]
        elif writes:
            await asyncio.gather(*writes)
        if call.http is not None:
            return values.get(call.http)
        return answer if call.implicit else None

    async def _call(self, call: _Call, arguments: dict[str, Any], identifier: str) -> Any:
        """The function's result, or Raised. Async functions run here, others in the thread pool."""
        seconds = self._timeout.total_seconds() if self._timeout else None
        try:
            async with asyncio.timeout(seconds) as limit:
                if call.function.is_async:
                    return await call_async(call.function.callable, arguments, identifier)
                return await asyncio.get_running_loop().run_in_executor(
                    self._pool, call_sync, call.function.callable, arguments, identifier
                )
        except TimeoutError:
            if not limit.expired():
                raise
            # The real host kills the worker process here. devhost is that process: an async function is cancelled,
            # a sync one goes on in its thread, and its result is ignored.
            text = (
                f"Timeout value of {format_timespan(self._timeout)} exceeded by function '{call.short}' "
                f"(Id: '{identifier}'). Initiating cancellation."
            )
            call.log.error("%s", text)
            raise FunctionTimeoutError(text) from None


def _binding_data(trigger: TriggerData, function_name: str, identifier: str) -> dict[str, Any]:
    system = {"methodname": function_name, "utcnow": datetime.now(UTC), "randguid": str(uuid4())}
    return {**trigger.binding_data, "sys": system, "$invocationId": identifier}


def _named_outputs(answer: Datum, writers: Mapping[str, OutputBinding]) -> dict[str, Datum]:
    """A JSON object returned without `$return`: its properties go to the outputs of the same name (§2.3)."""
    if answer.type != "json":
        return {}
    document = answer.python_value
    if not isinstance(document, dict):
        return {}
    return {
        name: GenericConverter.encode(value, expected_type=None)
        for name, value in document.items()
        if name in writers and value is not None
    }


def _since(began: float) -> int:
    return round((time.perf_counter() - began) * 1000)


def _thread_count(setting: str | None) -> int | None:
    """PYTHON_THREADPOOL_THREAD_COUNT; None (Python's own default) when unset or not a positive whole number (§2.5)."""
    try:
        count = int(setting or "")
    except ValueError:
        return None
    return count if count >= 1 else None
