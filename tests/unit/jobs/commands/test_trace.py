"""`trace`: one job's lines and those of all that belongs to it, from the logs of several hosts."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from jobs import telemetry
from jobs.commands.program import main
from jobs.errors import TransientError
from jobs.ledger import JobRef

AT = "2026-11-22T10:00:0"


class Log(logging.Handler):
    """What one host prints."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.file = file

    def tell(self, second: int, tell, *arguments, **fields) -> None:
        logger, self._prefix = telemetry.logger, f"[{AT}{second}.000Z] "
        logger.addHandler(self)
        try:
            tell(*arguments, **fields)
        finally:
            logger.removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        with self.file.open("a") as file:
            file.write(f"{self._prefix}{record.getMessage()}\n")


@pytest.fixture
def logs(tmp_path, caplog) -> list[str]:
    """An order that three hosts have worked on, its mail, another order, and what hosts write besides."""
    caplog.set_level("INFO", "nightshift")
    hosts = [Log(tmp_path / f"host-{number}.log") for number in range(3)]
    order, mail, other = (
        JobRef(kind, id, correlation_id, "", None)
        for kind, id, correlation_id in [("order", "A-1", "c-1"), ("mail", "A-1.hello", "c-1"), ("order", "A-2", "c-2")]
    )
    hosts[0].file.write_text(f"[{AT}0.000Z] Executing 'Functions.submit_job'\n")
    hosts[0].tell(1, telemetry.job_started, order, wait_seconds=0.5, attempt=1)
    with telemetry.about(order, step="charge_payment"):
        hosts[1].tell(2, telemetry.step_failed, TransientError("busy"), attempt=1)
    hosts[2].tell(4, telemetry.job_ended, order, "Completed", wait_seconds=0.5, run_seconds=3.0, attempt=1)
    hosts[1].tell(3, telemetry.job_started, mail, wait_seconds=0.1, attempt=1)
    hosts[1].tell(3, telemetry.job_started, other, wait_seconds=0.1, attempt=1)
    with hosts[2].file.open("a") as file:
        file.write(f'[{AT}5.000Z] {{"event": "JobStarted", "kind": "order", "id": "A-1", "correl')
    return [str(host.file) for host in hosts]


TREE = f"""\
c-1
  order/A-1
    {AT}1.000Z  host-0  JobStarted  attempt 1  waitSeconds 0.5
    {AT}2.000Z  host-1  StepFailed  charge_payment  attempt 1  Transient: busy
    {AT}4.000Z  host-2  JobCompleted  attempt 1  waitSeconds 0.5  runSeconds 3.0
  mail/A-1.hello
    {AT}3.000Z  host-1  JobStarted  attempt 1  waitSeconds 0.1
"""


@pytest.mark.parametrize("name", ["A-1", "order/A-1", "A-1.hello", "c-1"])
def test_the_whole_tree_whatever_of_it_is_named(logs, capsys, name):
    assert main(["trace", name, *logs]) == 0
    assert capsys.readouterr().out == TREE


def test_for_programs_it_is_json_in_the_order_of_time(logs, capsys):
    assert main(["trace", "c-1", *reversed(logs), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [(line["host"], line["event"]) for line in found] == [
        ("host-0", "JobStarted"),
        ("host-1", "StepFailed"),
        ("host-1", "JobStarted"),
        ("host-2", "JobCompleted"),
    ]


def test_what_is_in_no_log_and_a_log_that_is_not_there_are_named(logs, capsys):
    assert main(["trace", "A-3", *logs]) == 1
    assert "'A-3'" in capsys.readouterr().err
    assert main(["trace", "A-1", "nowhere.log"]) == 1
    assert "nowhere.log" in capsys.readouterr().err
