"""`run`: a job is done by the program itself, whose exit code says how it ended."""

from __future__ import annotations

import json
import logging
from uuid import uuid4

import pytest

from jobs.commands.program import main

pytestmark = pytest.mark.usefixtures("at_azurite", "world")


@pytest.fixture(autouse=True)
def quiet():
    """The command's log lines go to stderr only while it runs."""
    logger = logging.getLogger("nightshift")
    level = logger.level
    yield
    logger.handlers.clear()
    logger.setLevel(level)


@pytest.fixture
def file(tmp_path):
    def file(content) -> str:
        path = tmp_path / "input.json"
        path.write_text(json.dumps(content))
        return str(path)

    return file


def test_a_mail_is_sent_once_though_the_program_is_started_twice(file, sandbox, capsys):
    id = uuid4().hex
    mail = file({"to": f"{id}@example.com", "subject": "s", "text": "t"})
    for _ in range(2):
        assert main(["run", "mail", mail, "--id", id, "--correlation-id", "c-7"]) == 0
    printed = capsys.readouterr()
    assert printed.out == f"mail/{id} Completed\n" * 2
    events = [json.loads(line.partition(" ")[2]) for line in printed.err.splitlines()]
    assert [(event["event"], event["correlationId"]) for event in events] == [
        ("JobStarted", "c-7"),
        ("JobCompleted", "c-7"),
    ]
    assert len(sandbox.mailbox(f"{id}@example.com")["messages"]) == 1


def test_a_job_that_fails_is_exit_code_1(file, sandbox, capsys):
    id = uuid4().hex
    sandbox.fault({"when": {"recipient": f"{id}@example.com"}, "fault": "decline"})
    assert (
        main(["run", "mail", file({"to": f"{id}@example.com", "subject": "s", "text": "t"}), "--id", id, "--json"]) == 1
    )
    printed = capsys.readouterr()
    assert (json.loads(printed.out)["status"], printed.err.splitlines()[-1].startswith(f"error: mail/{id}: ")) == (
        "Failed",
        True,
    )


def test_wrong_input_is_exit_code_1_and_a_kind_that_needs_a_host_2(file, capsys):
    assert main(["run", "analytics", file({"event": ""})]) == 1
    assert "event" in capsys.readouterr().err
    assert main(["run", "order", "-"]) == 2
    assert "needs a host" in capsys.readouterr().err
