"""What survives a restart, a kill, and a disk that is full."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from devhost.servicebus.delivery import MessageState
from devhost.servicebus.descriptions import (
    QueueDescription,
    RuleDescription,
    SubscriptionDescription,
    TopicDescription,
)
from devhost.servicebus.errors import EntityNotFoundError, MessageLockLostError
from devhost.servicebus.filters import CorrelationFilter, SqlAction, SqlFilter
from devhost.servicebus.sqlite_layout import StoreError
from devhost.servicebus.sqlite_store import SqliteStore
from tests.forked import Popen
from tests.unit.devhost.servicebus.workbench import MINUTE, SECOND, START, Bench, make, text_of

DLQ = "q/$DeadLetterQueue"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "bus.sqlite3"


@pytest.fixture
def bench(path: Path):
    bench = Bench(SqliteStore(path))
    yield bench
    bench.broker.close()


def restart(bench: Bench, path: Path) -> None:
    bench.broker.close()
    bench.reopen(SqliteStore(path))


def test_messages_survive_with_all_that_belongs_to_them(bench: Bench, path: Path) -> None:
    bench.create()
    bench.send(make("dead", properties={"kept": 1}), "deferred", "abandoned")
    bench.send(make("mortal", ttl=MINUTE), make("scheduled", at=START + SECOND), "done")
    queue = bench.broker.queue("q")
    dead, deferred, abandoned, mortal, done = bench.receive(5)
    queue.dead_letter(dead.token, "Bad", "It is bad.")
    queue.defer(deferred.token)
    queue.abandon(abandoned.token, {"tried": True})
    queue.complete(done.token)
    restart(bench, path)
    queue = bench.broker.queue("q")
    assert [(text_of(each), each.sequence_number, each.delivery_count, each.state) for each in queue.peek(0, 9)] == [
        ("deferred", 2, 0, MessageState.DEFERRED),
        ("abandoned", 3, 1, MessageState.ACTIVE),
        ("mortal", 4, 0, MessageState.ACTIVE),
        ("scheduled", 5, 0, MessageState.SCHEDULED),
    ]
    assert bench.take(DLQ).message.application_properties == {
        "kept": 1,
        "DeadLetterReason": "Bad",
        "DeadLetterErrorDescription": "It is bad.",
    }
    with pytest.raises(MessageLockLostError):
        queue.complete(mortal.token)
    first, second = bench.receive(5)
    assert (first.message.application_properties, first.enqueued_at) == ({"tried": True}, START)
    assert (text_of(second), second.sequence_number) == ("mortal", 4)
    bench.advance(SECOND)
    delivery = bench.take()
    assert (text_of(delivery), delivery.sequence_number, delivery.enqueued_sequence_number) == ("scheduled", 7, 5)
    bench.advance(MINUTE)
    assert "mortal" not in bench.texts()


def test_numbers_are_not_given_twice(bench: Bench, path: Path) -> None:
    bench.create()
    bench.send("a", "b")
    bench.receive(2, settles=True)
    restart(bench, path)
    bench.send("c")
    assert bench.take().sequence_number == 3


def test_numbers_are_not_given_twice_after_a_kill(bench: Bench, path: Path, tmp_path: Path) -> None:
    bench.create()
    given = set()
    for _ in range(3):
        bench.send(*["a"] * 150)
        given |= {delivery.sequence_number for delivery in bench.receive(150, settles=True)}
        bench.broker.when_committed(lambda: None)
        path = shutil.copytree(path.parent, tmp_path / str(len(given))) / path.name  # what a kill would have left
        bench.broker.close()
        bench.reopen(SqliteStore(path))
    assert len(given) == 450


def test_sessions_and_seen_ids_survive(bench: Bench, path: Path) -> None:
    bench.create(requires_session=True, requires_duplicate_detection=True, duplicate_detection_window=MINUTE)
    bench.send(make("a", message_id="m", session_id="x"))
    bench.accept("x")
    bench.broker.queue("q").set_session_state("x", b"half")
    restart(bench, path)
    bench.send(make("again", message_id="m", session_id="x"))
    receiver = bench.accept("x", credit=5)
    assert receiver.texts == ["a"]
    assert bench.broker.queue("q").get_session_state("x") == b"half"
    bench.broker.queue("q").set_session_state("x", None)
    bench.advance(MINUTE)
    bench.send(make("later", message_id="m", session_id="x"))
    restart(bench, path)
    assert bench.accept("x", credit=5).texts == ["a", "later"]
    assert bench.broker.queue("q").get_session_state("x") is None


def test_entities_survive_as_they_were_last(bench: Bench, path: Path) -> None:
    broker = bench.broker
    bench.create("gone")
    bench.create("q", max_delivery_count=7)
    broker.create_topic(TopicDescription("T"))
    broker.create_subscription("t", SubscriptionDescription("S", forward_to="q"), [])
    rules = [
        RuleDescription("red", CorrelationFilter(subject="red", properties={"n": 1})),
        RuleDescription("sql", SqlFilter("n > 1"), SqlAction("SET n = 2")),
    ]
    for rule in rules:
        broker.create_rule("t", "s", rule)
    bench.advance(10)
    broker.update_queue(QueueDescription("q", max_delivery_count=8))
    broker.delete_queue("gone")
    restart(bench, path)
    broker = bench.broker
    assert broker.queues() == [QueueDescription("q", max_delivery_count=8)]
    assert broker.subscriptions("t") == [SubscriptionDescription("S", forward_to="q")]
    assert broker.rules("t", "s") == rules
    assert (broker.counts("q").created_at, broker.counts("q").updated_at) == (START, START + 10)
    broker.delete_rule("t", "s", "red")
    bench.send(make("a", subject="red"), to="t")
    assert bench.texts() == []


def test_a_queue_that_was_deleted_does_not_come_back(bench: Bench, path: Path) -> None:
    bench.create("door")
    bench.send("a", "b", to="door")
    bench.create("end")
    bench.broker.when_committed(lambda: None)
    bench.broker.update_queue(QueueDescription("door", forward_to="end"))  # rows change hands, and then
    bench.broker.delete_queue("end")
    restart(bench, path)
    assert bench.texts("door") == []
    with pytest.raises(EntityNotFoundError):
        bench.broker.queue("end")
    bench.broker.close()
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT count(*) FROM messages").fetchone()[0] == 0
    bench.reopen(SqliteStore(path))


def test_clearing_is_for_good(bench: Bench, path: Path) -> None:
    bench.create(requires_duplicate_detection=True)
    bench.send(make("a", message_id="m"), make("later", at=START + MINUTE))
    bench.broker.clear()
    restart(bench, path)
    assert bench.broker.counts("q").total == 0
    bench.send(make("a", message_id="m"))
    assert bench.texts() == ["a"]


# --- commits --------------------------------------------------------------------------------------------------------


class FullDisk:
    """A connection whose commits fail as long as `is_full`; it counts those that do not.

    A statement outside a transaction is a commit too.
    """

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self.is_full = False
        self.commits = 0

    def execute(self, statement: str, *arguments: Any) -> Any:
        if statement == "COMMIT" or not self._database.in_transaction and statement.startswith(("INSERT", "DELETE")):
            if self.is_full:
                raise sqlite3.OperationalError("database or disk is full")
            self.commits += 1
        return self._database.execute(statement, *arguments)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)


def test_what_is_done_in_one_turn_of_the_loop_is_one_commit(path: Path) -> None:
    store = SqliteStore(path)
    disk = store._database = FullDisk(store._database)
    soon: list = []
    bench = Bench(store, soon.append)
    bench.create()
    done: list[str] = []
    for text in "abc":
        bench.send(text)
        bench.broker.when_committed(lambda text=text: done.append(text))
    assert (len(soon), done, disk.commits) == (1, [], 0)
    soon.pop()()
    assert (soon, done, disk.commits) == ([], ["a", "b", "c"], 1)
    bench.broker.when_committed(lambda: done.append("nothing to commit"))
    assert done[-1] == "nothing to commit"
    bench.broker.close()


def test_nothing_is_acknowledged_on_a_full_disk_until_there_is_room(path: Path, caplog) -> None:
    store = SqliteStore(path)
    disk = store._database = FullDisk(store._database)
    bench = Bench(store)
    bench.create()
    disk.is_full = True
    done: list[str] = []
    bench.send("a")
    bench.broker.when_committed(lambda: done.append("a"))
    for _ in range(2):
        bench.advance(SECOND)
        bench.broker.run_due()
    assert done == []
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    disk.is_full = False
    bench.time = bench.broker.next_due()
    bench.broker.run_due()
    assert done == ["a"]
    restart(bench, path)
    assert bench.texts() == ["a"]
    bench.broker.close()


# --- the file -------------------------------------------------------------------------------------------------------


def test_a_file_is_for_one_bus(bench: Bench, path: Path) -> None:
    with pytest.raises(StoreError, match="Another process"):
        SqliteStore(path)


def test_a_file_of_another_layout_is_refused_with_a_remedy(path: Path) -> None:
    SqliteStore(path).close()
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreError, match="layout 99.*Delete the file"):
        SqliteStore(path)


def test_a_file_that_is_no_database_is_refused_with_a_remedy(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("These are notes, and no database at all. " * 100)
    with pytest.raises(StoreError, match="Delete it"):
        SqliteStore(path)


def test_a_kill_loses_nothing_acknowledged_and_brings_nothing_back(path: Path) -> None:
    said: dict[str, set[str]] = {what: set() for what in ("sent", "dead", "completing", "completed")}
    chance = random.Random(3)
    for name in ("first", "second", "third"):
        for what, text in run_and_kill(path, name, chance.randint(1_000, 2_000)):
            said[what].add(text)
        bench = Bench(SqliteStore(path))
        queue = bench.broker.queue("q")
        there, dead = bench.texts(), bench.texts(DLQ)
        numbers = [each.sequence_number for each in (*queue.peek(0, 10_000), *bench.broker.queue(DLQ).peek(0, 10_000))]
        bench.broker.close()
        assert min(map(len, said.values())) > 50
        assert len({*there, *dead}) == len(there) + len(dead) == len(set(numbers))
        assert said["sent"] - said["completing"] <= {*there, *dead}
        assert said["dead"] <= set(dead)
        assert not said["completed"] & {*there, *dead}


def run_and_kill(path: Path, name: str, after: int) -> list[tuple[str, str]]:
    """What a process said that was killed when it had said so many lines, and more."""
    command = [sys.executable, "-m", "tests.unit.devhost.servicebus.killed_broker", str(path), name]
    with Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(after)]
        os.kill(process.pid, signal.SIGKILL)
        lines += process.stdout.readlines()
    said = [line.split() for line in lines]
    return [(what, text) for what, text in said]
