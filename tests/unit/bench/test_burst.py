"""What the burst's figures say of a burst, and what is read from the host's log."""

from __future__ import annotations

import json

from bench.burst import Burst, Log


def test_what_an_urgent_job_overtook():
    burst = Burst(jobs=6, accepted=["a", "b", "c", "d", "urgent", "later"], accepting=2.0)
    burst.ended = ["a", "b", "later", "urgent", "c", "d"]
    burst.backlogs = {"urgent": {"b", "c", "d"}}
    assert (burst.backlog, round(burst.overtaken, 3), burst.rate) == (3, 0.333, 3.0)


def test_the_log_tells_each_end_once(tmp_path):
    path = tmp_path / "host.log"
    path.write_text(line("JobCompleted", "before", outcome="Completed"))
    log = Log(path)
    with path.open("a") as host:
        host.write(line("JobStarted", "a") + line("JobDelayed", "b") + line("JobCompleted", "a", outcome="Completed"))
        host.write(line("JobFailed", "b", outcome="Failed")[:40])
        host.flush()
        assert log.ended() == ["a"]
        host.write(line("JobFailed", "b", outcome="Failed")[40:])
    assert (log.ended(), log.ended()) == (["b"], [])


def line(event: str, id: str, **more: str) -> str:
    """A line as the host prints it."""
    return f"[2026-11-22T09:00:00.000Z] {json.dumps({'event': event, 'kind': 'mail', 'id': id, **more})}\n"
