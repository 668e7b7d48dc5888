"""The SDK's own client against devhost: durable.md §5, the lower table, and §4.4."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import azure.durable_functions as df
import pytest
from azure.durable_functions.models.OrchestrationRuntimeStatus import OrchestrationRuntimeStatus as Status

from tests.conformance import durable_app


class Client:
    """A DurableOrchestrationClient as an app gets it, called from the test."""

    def __init__(self, host) -> None:
        self.host = host
        self.sdk = df.DurableOrchestrationClient(host.call(host.app.durable.client_binding_value))

    def __getattr__(self, name: str):
        method = getattr(self.sdk, name)

        def call(*arguments, **options):
            async def run():
                return await method(*arguments, **options)

            return self.host.call(run)

        return call

    def finished(self, instance_id: str):
        self.host.drain()
        return self.get_status(instance_id)


@pytest.fixture
def client(devhost_host, tmp_path) -> Client:
    return Client(devhost_host(durable_app.write(tmp_path)))


def test_the_binding_holds_what_the_sdk_and_its_users_read(client):
    binding = json.loads(client.host.call(client.host.app.durable.client_binding_value))
    base = f"http://localhost:{client.host.port}/runtime/webhooks/durabletask"
    assert (binding["taskHubName"], binding["baseUrl"]) == ("ConformanceHub", base)
    create = f"{base}/orchestrators/{{functionName}}[/{{instanceId}}]"
    assert binding["creationUrls"]["createNewInstancePostUri"] == create
    query = "taskHub=ConformanceHub&connection=Storage"
    assert binding["managementUrls"] == {
        "id": "INSTANCEID",
        "statusQueryGetUri": f"{base}/instances/INSTANCEID?{query}",
        "sendEventPostUri": f"{base}/instances/INSTANCEID/raiseEvent/{{eventName}}?{query}",
        "terminatePostUri": f"{base}/instances/INSTANCEID/terminate?reason={{text}}&{query}",
        "rewindPostUri": f"{base}/instances/INSTANCEID/rewind?reason={{text}}&{query}",
        "purgeHistoryDeleteUri": f"{base}/instances/INSTANCEID?{query}",
        "restartPostUri": f"{base}/instances/INSTANCEID/restart?{query}",
        "suspendPostUri": f"{base}/instances/INSTANCEID/suspend?reason={{text}}&{query}",
        "resumePostUri": f"{base}/instances/INSTANCEID/resume?reason={{text}}&{query}",
    }
    assert binding["rpcBaseUrl"].startswith("http://127.0.0.1:") and binding["rpcBaseUrl"].endswith("/durabletask/")


def test_start_and_status(client):
    instance_id = client.start_new("chain", "my-chain")
    assert instance_id == "my-chain"
    status = client.finished(instance_id)
    assert status.runtime_status == Status.Completed
    assert (status.name, status.output) == ("chain", ["Hello Tokyo!", "Hello Seattle!"])
    assert timedelta() <= status.last_updated_time - status.created_time < timedelta(minutes=1)


def test_a_generated_id_has_32_hex_digits(client):
    instance_id = client.start_new("chain")
    assert len(instance_id) == 32 and int(instance_id, 16) >= 0


@pytest.mark.parametrize("value", [{"a": [1, None]}, "text", 12, True, [1], None, "ü \U0001f600 \x00", ""])
def test_inputs_arrive_as_they_were_sent(client, value):
    instance_id = client.start_new("echo", client_input=value)
    status = client.finished(instance_id)
    assert status.output == value
    # Stored as the SDK sent it: a string that holds JSON (durable.md §5).
    assert status.input_ == (None if value is None else json.dumps(value))
    assert status.custom_status == ({"seen": value})


def test_names_are_looked_up_without_regard_to_case_and_by_their_other_name(client):
    assert client.finished(client.start_new("CHAIN")).output == ["Hello Tokyo!", "Hello Seattle!"]
    assert client.finished(client.start_new("renamed")).output == "by its other name"


def test_an_unknown_orchestrator_fails_with_the_known_names(client):
    status = client.finished(client.start_new("no_such_thing"))
    assert status.runtime_status == Status.Failed
    assert "'no_such_thing' doesn't exist" in status.output and "'fan_out'" in status.output


def test_an_unknown_activity_fails_the_instance(client):
    status = client.finished(client.start_new("typo"))
    assert status.runtime_status == Status.Failed
    assert "'say_helo' doesn't exist" in status.output and "'say_hello'" in status.output


def test_an_unknown_instance_is_falsy(client):
    assert not client.get_status("nobody")


def test_a_live_id_cannot_be_started_again_and_a_finished_one_can(client):
    client.start_new("wait", "single")
    with pytest.raises(Exception, match="already exists"):
        client.start_new("wait", "single")
    client.raise_event("single", "go", 1)
    client.finished("single")
    assert client.start_new("echo", "single", "again") == "single"
    assert client.finished("single").output == "again"


@pytest.mark.parametrize("instance_id", ["@entity", "a#b", "x" * 257])
def test_ids_that_are_not_allowed(client, instance_id):
    with pytest.raises(Exception, match="(?i)instance id|must not"):
        client.start_new("chain", instance_id.replace("#", "%23"))


@pytest.mark.parametrize(("value", "seen"), [({"a": 1}, '{"a": 1}'), ("hello", '"hello"'), (None, "null"), (7, "7")])
def test_an_events_data_arrives_as_text_as_the_sdk_encodes_it_twice(client, value, seen):
    instance_id = client.start_new("wait")
    client.host.drain()
    client.raise_event(instance_id, "go", value)
    assert client.finished(instance_id).output == seen


def test_events_to_nobody_and_to_the_finished(client):
    with pytest.raises(Exception, match="No instance with ID nobody found"):
        client.raise_event("nobody", "go")
    instance_id = client.start_new("chain")
    client.finished(instance_id)
    with pytest.raises(Exception, match="is gone"):
        client.raise_event(instance_id, "go")


def test_show_input_history_and_output(client):
    instance_id = client.start_new("chain", client_input="x")
    client.finished(instance_id)
    status = client.get_status(instance_id, show_history=True, show_history_output=True, show_input=True)
    names = [event["EventType"] for event in status.historyEvents]
    assert names == ["ExecutionStarted", "TaskCompleted", "TaskCompleted", "ExecutionCompleted"]
    task = status.historyEvents[1]
    assert (task["FunctionName"], task["Result"]) == ("say_hello", "Hello Tokyo!")
    assert {"ScheduledTime", "Timestamp"} <= set(task)
    assert not {"EventId", "IsPlayed", "TaskScheduledId", "ActionCount"} & set(task)
    assert status.historyEvents[0]["FunctionName"] == "chain"
    without = client.get_status(instance_id, show_history=True)
    assert "Result" not in without.historyEvents[1]


def test_failures(client):
    status = client.finished(client.start_new("fails"))
    assert status.runtime_status == Status.Failed
    reason = "Activity function 'break_down' failed:  ValueError: cannot do x"
    assert status.output.startswith(f"Orchestrator function 'fails' failed: {reason} \n {{")
    status = client.finished(client.start_new("fails_by_itself"))
    assert status.output == "Orchestrator function 'fails_by_itself' failed: by itself"


def test_retries(client):
    instance_id = client.start_new("recovers")
    client.host.advance(seconds=5)
    assert client.get_status(instance_id).output == 3


def test_terminate(client):
    instance_id = client.start_new("wait")
    client.host.drain()
    client.terminate(instance_id, "no longer & needed")
    status = client.finished(instance_id)
    assert (status.runtime_status, status.output) == (Status.Terminated, "no longer & needed")
    client.terminate(instance_id, "twice is silent")
    with pytest.raises(Exception, match="No instance with ID 'nobody' found"):
        client.terminate("nobody", "x")


def test_suspend_and_resume(client):
    instance_id = client.start_new("wait")
    client.host.drain()
    client.suspend(instance_id, "lunch")
    status = client.finished(instance_id)
    assert status.runtime_status == Status.Suspended
    with pytest.raises(Exception, match="unexpected status code 500"):
        client.suspend(instance_id, "twice")
    client.raise_event(instance_id, "go", 1)
    assert client.finished(instance_id).runtime_status == Status.Suspended
    client.resume(instance_id, "back")
    assert client.finished(instance_id).output == "1"
    client.resume(instance_id, "finished is silent")
    other = client.start_new("wait")
    client.host.drain()
    with pytest.raises(Exception, match="unexpected status code 500"):
        client.resume(other, "it runs")


def test_rewind_runs_what_failed_again(client):
    instance_id = client.start_new("needs_repair")
    assert client.finished(instance_id).runtime_status == Status.Failed
    client.rewind(instance_id, "repaired")
    status = client.finished(instance_id)
    assert (status.runtime_status, status.output) == (Status.Completed, "repaired")
    assert [r.function for r in client.host.invocations].count("say_hello") == 1
    with pytest.raises(Exception, match="only supported on failed"):
        client.rewind(instance_id, "not failed")
    with pytest.raises(Exception, match="No instance with ID nobody found"):
        client.rewind("nobody", "x")


def test_rewind_goes_down_into_children(client):
    instance_id = client.start_new("parent_needs_repair")
    assert client.finished(instance_id).runtime_status == Status.Failed
    client.rewind(instance_id, "repaired")
    status = client.finished(instance_id)
    assert (status.runtime_status, status.output) == (Status.Completed, "repaired")
    assert client.get_status("the-child").runtime_status == Status.Completed


def test_restart(client):
    instance_id = client.start_new("echo", client_input={"n": 1})
    client.finished(instance_id)
    restarted = client.restart(instance_id)["id"]
    assert restarted != instance_id and client.finished(restarted).output == {"n": 1}
    assert client.restart(instance_id, restart_with_new_instance_id=False)["id"] == instance_id
    assert client.finished(instance_id).output == {"n": 1}
    with pytest.raises(Exception, match="unexpected status code 400"):
        client.restart("nobody")
    client.start_new("wait", "live")
    with pytest.raises(Exception, match="unexpected status code 409"):
        client.restart("live", restart_with_new_instance_id=False)


def test_purge(client):
    instance_id = client.start_new("chain")
    client.finished(instance_id)
    assert client.purge_instance_history(instance_id).instances_deleted == 1
    assert not client.get_status(instance_id)
    assert client.purge_instance_history(instance_id).instances_deleted == 0
    live = client.start_new("wait")
    client.host.drain()
    with pytest.raises(Exception, match="unexpected status code 412"):
        client.purge_instance_history(live)


def test_purge_many(client):
    for n in range(3):
        client.start_new("chain", f"c-{n}")
    client.start_new("wait", "live")
    client.host.drain()
    hour = timedelta(hours=1)
    long_ago = datetime.now(UTC) - hour
    assert client.purge_instance_history_by(long_ago, None, [Status.Failed]).instances_deleted == 0
    assert client.purge_instance_history_by(long_ago, None, [Status.Completed]).instances_deleted == 3
    assert [status.instance_id for status in client.get_status_all()] == ["live"]


def test_status_of_many(client):
    for n in range(3):
        client.start_new("chain", f"a-{n}")
    client.start_new("wait", "b-0")
    client.host.drain()
    assert [status.instance_id for status in client.get_status_all()] == ["a-0", "a-1", "a-2", "b-0"]
    running = client.get_status_by(runtime_status=[Status.Running, Status.Pending])
    assert [status.instance_id for status in running] == ["b-0"]
    assert len(client.get_status_by(instance_id_prefix="a-")) == 3
    now = datetime.now(UTC)
    assert len(client.get_status_by(now - timedelta(hours=1), now + timedelta(hours=1))) == 4
    assert client.get_status_by(now + timedelta(hours=1)) == []


def test_entities(client):
    entity = df.EntityId("Counter", "Mixed Case")
    assert not client.read_entity_state(entity).entity_exists
    client.signal_entity(entity, "add", 5)
    client.signal_entity(entity, "add", 2)
    client.host.drain()
    state = client.read_entity_state(entity)
    assert (state.entity_exists, state.entity_state) == (True, 7)
    client.signal_entity(entity, "delete")
    client.host.drain()
    assert not client.read_entity_state(entity).entity_exists


def test_entities_called_from_an_orchestration(client):
    assert client.finished(client.start_new("counts")).output == [7, 7, "there is no unknown"]
    assert client.read_entity_state(df.EntityId("counter", "Shared")).entity_state == 7


def test_a_month_passes_at_once(client):
    instance_id = client.start_new("month")
    client.host.advance(days=29)
    assert client.get_status(instance_id).runtime_status == Status.Running
    client.host.advance(days=2)
    assert client.get_status(instance_id).output == "too late"


def test_continue_as_new_with_events(client):
    instance_id = client.start_new("eternal")
    for n in range(1, 5):
        client.host.post(f"/runtime/webhooks/durabletask/instances/{instance_id}/raiseEvent/add", json=n)
    assert client.finished(instance_id).output == 10


def test_check_status_and_wait_for_completion(client):
    started = client.host.post("/api/start/chain", json={})
    assert (started.status_code, started.headers["Retry-After"]) == (202, "10")
    client.host.drain()
    assert client.host.get(started.headers["Location"]).json()["output"] == ["Hello Tokyo!", "Hello Seattle!"]
    done = client.host.post("/api/run/chain", json={})
    assert (done.status_code, done.json()) == (200, ["Hello Tokyo!", "Hello Seattle!"])
    assert client.host.post("/api/run/fails", json={}).status_code == 500


def test_versions(devhost_host, tmp_path):
    section = {"defaultVersion": "2.0", "versionMatchStrategy": "Strict", "versionFailureStrategy": "Fail"}
    host_json = json.dumps({"version": "2.0", "extensions": {"durableTask": section}})
    client = Client(devhost_host(durable_app.write(tmp_path, host_json)))
    assert client.finished(client.start_new("versioned")).output == "2.0"
    status = client.finished(client.start_new("versioned", version="1.9"))
    assert status.runtime_status == Status.Failed and "VersionMismatch" in status.output
