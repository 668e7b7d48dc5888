"""The function app that the Durable conformance tests run: one small function for each thing to show."""

from __future__ import annotations

from pathlib import Path

HOST_JSON = """{"version": "2.0", "extensions": {"durableTask": {"hubName": "ConformanceHub"}}}"""

FUNCTION_APP = '''
from datetime import timedelta

import azure.durable_functions as df
import azure.functions as func

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)
attempts = {}
RETRY = df.RetryOptions(1000, 3)


@app.orchestration_trigger(context_name="context")
def chain(context):
    greetings = []
    for name in ("Tokyo", "Seattle"):
        greetings.append((yield context.call_activity("say_hello", name)))
    return greetings


@app.orchestration_trigger(context_name="context")
def fan_out(context):
    return (yield context.task_all([context.call_activity(say_hello, str(n)) for n in range(context.get_input())]))


@app.orchestration_trigger(context_name="context")
def echo(context):
    context.set_custom_status({"seen": context.get_input()})
    return context.get_input()
    yield


@app.orchestration_trigger(context_name="context", orchestration="Renamed")
def another_name(context):
    return "by its other name"
    yield


@app.orchestration_trigger(context_name="context")
def wait(context):
    value = yield context.wait_for_external_event("go")
    return value


@app.orchestration_trigger(context_name="context")
def fails(context):
    yield context.call_activity("break_down", "x")


@app.orchestration_trigger(context_name="context")
def fails_by_itself(context):
    yield context.call_activity("say_hello", "x")
    raise ValueError("by itself")


@app.orchestration_trigger(context_name="context")
def recovers(context):
    return (yield context.call_activity_with_retry("flaky", RETRY, context.instance_id))


@app.orchestration_trigger(context_name="context")
def needs_repair(context):
    yield context.call_activity("say_hello", "before")
    repaired = yield context.call_activity("repairable", context.instance_id)
    return repaired


@app.orchestration_trigger(context_name="context")
def parent_needs_repair(context):
    return (yield context.call_sub_orchestrator("needs_repair", None, "the-child"))


@app.orchestration_trigger(context_name="context")
def month(context):
    approval = context.wait_for_external_event("approval")
    deadline = context.create_timer(context.current_utc_datetime + timedelta(days=30))
    winner = yield context.task_any([approval, deadline])
    if winner is deadline:
        return "too late"
    deadline.cancel()
    return "approved"


@app.orchestration_trigger(context_name="context")
def eternal(context):
    total = context.get_input() or 0
    total += yield context.wait_for_external_event("add")
    if total >= 10:
        return total
    context.continue_as_new(total)


@app.orchestration_trigger(context_name="context")
def counts(context):
    entity = df.EntityId("Counter", "Shared")
    context.signal_entity(entity, "add", 5)
    added = yield context.call_entity(entity, "add", 2)
    read = yield context.call_entity(entity, "get")
    try:
        yield context.call_entity(entity, "unknown")
    except Exception as error:
        return [added, read, str(error)]


@app.orchestration_trigger(context_name="context")
def fetches(context):
    given = context.get_input()
    answer = yield context.call_http(given["method"], given["uri"], given.get("content"), given.get("headers"))
    return answer


@app.orchestration_trigger(context_name="context")
def fetches_with_a_token(context):
    yield context.call_http("GET", "http://127.0.0.1:9/", token_source=df.ManagedIdentityTokenSource("https://x"))


@app.orchestration_trigger(context_name="context")
def typo(context):
    yield context.call_activity("say_helo", "x")


@app.orchestration_trigger(context_name="context")
def versioned(context):
    return context.version
    yield


@app.activity_trigger(input_name="name")
def say_hello(name: str) -> str:
    return f"Hello {name}!"


@app.activity_trigger(input_name="value")
def break_down(value):
    raise ValueError(f"cannot do {value}")


@app.activity_trigger(input_name="key")
def flaky(key):
    attempts[key] = attempts.get(key, 0) + 1
    if attempts[key] < 3:
        raise RuntimeError("not yet")
    return attempts[key]


@app.activity_trigger(input_name="key")
async def repairable(key):
    attempts[key] = attempts.get(key, 0) + 1
    if attempts[key] == 1:
        raise RuntimeError("broken")
    return "repaired"


@app.entity_trigger(context_name="context")
def Counter(context):
    value = context.get_state(lambda: 0)
    if context.operation_name == "add":
        value += context.get_input()
        context.set_state(value)
        context.set_result(value)
    elif context.operation_name == "get":
        context.set_result(value)
    elif context.operation_name == "delete":
        context.destruct_on_exit()
    elif context.operation_name == "keep":
        context.set_state(context.get_input())
    else:
        raise ValueError(f"there is no {context.operation_name}")


@app.route(route="start/{name}", methods=["POST"])
@app.durable_client_input(client_name="client")
async def start(req: func.HttpRequest, client: df.DurableOrchestrationClient):
    instance_id = await client.start_new(req.route_params["name"], client_input=req.get_json())
    return client.create_check_status_response(req, instance_id)


@app.route(route="run/{name}", methods=["POST"])
@app.durable_client_input(client_name="client")
async def run(req: func.HttpRequest, client: df.DurableOrchestrationClient):
    instance_id = await client.start_new(req.route_params["name"], client_input=req.get_json())
    return await client.wait_for_completion_or_create_check_status_response(req, instance_id, 5000, 20)
'''


def write(folder: Path, host_json: str = HOST_JSON) -> Path:
    """Put the app into a folder; returns it."""
    (folder / "function_app.py").write_text(FUNCTION_APP)
    (folder / "host.json").write_text(host_json)
    return folder
