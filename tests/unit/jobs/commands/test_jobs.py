"""`list`, `show`, `cancel`, `wait`: what they ask the host, what they print, and how they end."""

from __future__ import annotations

import json
import socket

import pytest

from jobs.commands.program import main
from jobs.settings import settings

REQUESTS = {
    "list": ["list"],
    "show": ["show", "order/A-1"],
    "cancel": ["cancel", "order/A-1"],
    "wait": ["wait", "order/A-1"],
}


def ran(capsys, *arguments: str) -> tuple[int, str, str]:
    """The exit code of a command, and what it printed on stdout and stderr."""
    code = main(list(arguments))
    printed = capsys.readouterr()
    return code, printed.out, printed.err


class TestShow:
    def test_a_job_by_its_kind_and_id(self, api, capsys):
        api.job("order/A-1", "Running", progress={"percent": 20, "step": "charge_payment"}, startedAt=None)
        code, out, err = ran(capsys, "show", "order/A-1")
        assert (code, err) == (0, "")
        assert "order/A-1" in out and "Running" in out and "charge_payment" in out and "startedAt" not in out
        assert api.asked == ["GET /api/jobs/order/A-1"]

    def test_a_job_by_its_id_alone(self, api, capsys):
        api.job("mail/M-1", "Completed")
        code, out, _ = ran(capsys, "show", "M-1", "--json")
        assert (code, json.loads(out)) == (0, {"kind": "mail", "id": "M-1", "status": "Completed"})

    def test_an_id_that_several_kinds_have_must_be_told_apart(self, api, capsys):
        api.job("mail/X-1", "Completed")
        api.job("order/X-1", "Completed")
        code, out, err = ran(capsys, "show", "X-1")
        assert (code, out) == (1, "")
        assert "mail/X-1" in err and "order/X-1" in err

    def test_an_id_that_nobody_has(self, api, capsys):
        for name in ("order/nobody", "a/b/c", "../health", "nobody"):
            code, out, err = ran(capsys, "show", name)
            assert (code, out, err.count("\n")) == (1, "", 1)
            assert err.startswith("error: there is no job")
        assert "just sent is still in its queue" in err

    def test_a_name_cannot_lead_out_of_its_path(self, api, capsys):
        ran(capsys, "show", "order/../../admin?x#y")
        assert api.asked == ["GET /api/jobs/order/..%2F..%2Fadmin%3Fx%23y"]

    def test_nothing_that_is_shown_commands_the_terminal(self, api, capsys):
        api.job("order/A-1", "Failed", error={"type": "X", "message": "\x1b[2J[red]boo[/red]"})
        out = ran(capsys, "show", "order/A-1")[1]
        assert "\x1b" not in out and "[red]boo[/red]" in out

    def test_links_are_on_lines_of_their_own(self, api, capsys):
        links = [f"http://127.0.0.1/{name}?{'x' * 300}" for name in ("one", "two")]
        files = [{"blob": f"reports/{number}", "url": url} for number, url in enumerate(links)]
        api.job("order/A-1", "Completed", result={"files": files})
        out = ran(capsys, "show", "order/A-1")[1]
        assert out.splitlines()[-2:] == links
        assert "reports/1" in out and out.count("http://") == 2


class TestCancel:
    def test_it_asks(self, api, capsys):
        api.answers["POST /api/jobs/order/A-1/cancel"] = 202, {"kind": "order", "id": "A-1", "status": "Running"}
        assert ran(capsys, "cancel", "order/A-1")[:2] == (0, "order/A-1 was asked to stop: it is Running\n")
        api.job("order/A-1", "Running")
        code, out, _ = ran(capsys, "cancel", "A-1", "--json")
        assert (code, json.loads(out)["status"]) == (0, "Running")

    def test_too_late_is_told(self, api, capsys):
        api.refuse("POST /api/jobs/order/A-1/cancel", 409, "Too late", "the job has ended: it is Completed")
        assert ran(capsys, "cancel", "order/A-1") == (1, "", "error: Too late: the job has ended: it is Completed\n")


class TestWait:
    def test_until_all_have_ended(self, api, capsys):
        api.job("order/A-1", "Pending", "Running", "Completed")
        api.job("mail/M-1", "Running", "Completed")
        code, out, err = ran(capsys, "wait", "order/A-1", "mail/M-1")
        assert (code, sorted(out.splitlines()), err) == (0, ["mail/M-1 Completed", "order/A-1 Completed"], "")

    @pytest.mark.parametrize(
        ("states", "code"),
        [
            (["Completed", "Completed"], 0),
            (["Completed", "Failed"], 1),
            (["Cancelled", "Failed"], 1),
            (["Cancelled", "Completed"], 3),
            (["Cancelled", "Running"], 4),
            (["Failed", "Running"], 1),
        ],
    )
    def test_the_exit_code_tells_the_worst(self, api, capsys, states, code):
        for number, state in enumerate(states):
            api.job(f"order/A-{number}", state)
        assert ran(capsys, "wait", "order/A-0", "order/A-1", "--timeout", "0s")[0] == code

    def test_it_says_why_a_job_failed_on_one_line(self, api, capsys):
        error = {"type": "NotAPhoto", "message": "it is\na web page", "retryable": False}
        api.answers["GET /api/jobs/photo/P-1"] = 200, {"kind": "photo", "id": "P-1", "status": "Failed", "error": error}
        assert (
            ran(capsys, "wait", "photo/P-1")[1]
            == "photo/P-1 Failed: NotAPhoto: it is\N{REPLACEMENT CHARACTER}a web page\n"
        )

    def test_a_job_that_is_still_in_its_queue_is_waited_for(self, api, capsys):
        missing = 404, {"title": "No such job", "status": 404, "detail": "there is no job"}
        ended = 200, {"kind": "order", "id": "A-1", "status": "Completed"}
        api.answers["GET /api/jobs/order/A-1"] = [missing, missing, ended]
        assert ran(capsys, "wait", "order/A-1")[0] == 0

    def test_when_the_time_is_over_the_rest_is_named(self, api, capsys):
        api.job("order/A-1", "Completed")
        api.job("order/A-2", "Running")
        code, out, err = ran(capsys, "wait", "order/A-1", "order/A-2", "order/A-3", "--timeout", "0s", "--json")
        assert (code, [each["status"] for each in json.loads(out)]) == (4, ["Completed", "Running", None])
        assert err == "error: not ended within 0:00:00: order/A-2 (Running), order/A-3 (not known yet)\n"

    def test_a_host_that_restarts_comes_back(self, api, capsys, monkeypatch):
        from jobs.commands import api as real

        api.job("order/A-1", "Running", "Running", "Completed")
        ask, calls = real.ask, []

        async def with_an_outage(*arguments, **query):
            calls.append(arguments)
            if len(calls) == 2:
                raise real.HostUnreachableError("gone")
            return await ask(*arguments, **query)

        monkeypatch.setattr(real, "ask", with_an_outage)
        assert ran(capsys, "wait", "order/A-1")[0] == 0
        assert len(calls) == 4


class TestList:
    def page(self, *ids: str, **more) -> dict:
        times = {"submittedAt": "2026-11-22T10:00:00Z", "waitSeconds": 0.1, "runSeconds": None}
        return {"jobs": [{"kind": "order", "id": id, "status": "Failed", **times} for id in ids], **more}

    def test_it_follows_the_pages_as_far_as_asked(self, api, capsys):
        queries = []

        def answer(query):
            queries.append(query)
            first = len(queries) == 1
            return 200, self.page("A-1", "A-2", continuationToken="on") if first else self.page("A-3")

        api.answers["GET /api/jobs"] = answer
        code, out, _ = ran(
            capsys, "list", "--kind", "order", "--status", "Failed", "--since", "2026-11-22", "--top", "5", "--json"
        )
        assert (code, [job["id"] for job in json.loads(out)]) == (0, ["A-1", "A-2", "A-3"])
        filters = {"kind": "order", "status": "Failed", "since": "2026-11-22T00:00:00+00:00"}
        assert queries == [{**filters, "top": "5"}, {**filters, "top": "3", "continuationToken": "on"}]

    def test_it_says_so_when_it_shows_only_some(self, api, capsys):
        api.answers["GET /api/jobs"] = 200, self.page("A-1", "A-2", continuationToken="on")
        assert ran(capsys, "list", "--top", "2")[2] == "2 shown, and there may be more: --top takes a larger number\n"
        api.answers["GET /api/jobs"] = 200, self.page("A-1", "A-2")
        assert ran(capsys, "list", "--top", "2")[2] == ""

    def test_it_prints_a_table(self, api, capsys):
        page = self.page("A-" + "1" * 70)
        page["jobs"][0]["error"] = {"type": "OutOfStock"}
        api.answers["GET /api/jobs"] = 200, page
        out = ran(capsys, "list")[1]
        assert "OutOfStock" in out and f"order/A-{'1' * 70}" in out

    def test_what_the_host_refuses_is_told(self, api, capsys):
        api.refuse("GET /api/jobs", 400, "Invalid input", "status: one of Pending, Running")
        code, _, err = ran(capsys, "list", "--status", "Sleeping")
        assert (code, err) == (1, "error: Invalid input: status: one of Pending, Running\n")


@pytest.mark.parametrize("command", REQUESTS)
def test_a_host_that_is_not_there_is_named(api, capsys, monkeypatch, command):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    monkeypatch.setenv("NIGHTSHIFT_URL", url)
    settings.cache_clear()
    code, out, err = ran(capsys, *REQUESTS[command])
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert url in err and "make run" in err and "NIGHTSHIFT_URL" in err


@pytest.mark.parametrize("command", REQUESTS)
def test_the_function_key_is_sent(api, capsys, monkeypatch, command):
    for path in ("GET /api/jobs", "GET /api/jobs/order/A-1", "POST /api/jobs/order/A-1/cancel"):
        api.answers[path] = 401, b""
    monkeypatch.setenv("NIGHTSHIFT_KEY", "secret")
    settings.cache_clear()
    code, _, err = ran(capsys, *REQUESTS[command])
    assert (code, api.keys) == (1, {"secret"})
    assert "NIGHTSHIFT_KEY" in err and "secret" not in err


@pytest.mark.parametrize("answer", [(200, b"<html>"), (404, {"error": "Not Found"}), (500, [])])
def test_another_server_than_the_host_is_no_surprise(api, capsys, answer):
    api.answers["GET /api/jobs/order/A-1"] = answer
    code, _, err = ran(capsys, "show", "order/A-1")
    assert (code, err.count("\n")) == (1, 1) and "NIGHTSHIFT_URL" in err


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["paint"],
        ["show"],
        ["wait"],
        ["wait", "A-1", "--timeout", "soon"],
        ["list", "--top", "0"],
        ["list", "--since", "yesterday"],
        ["send", "order"],
        ["send", "order", "-", "--urgent", "--bus"],
    ],
)
def test_wrong_use_ends_with_2(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage: python -m jobs" in capsys.readouterr().err


def test_the_help_tells_the_exit_codes(capsys):
    for arguments in (["--help"], ["wait", "--help"]):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        out = capsys.readouterr().out
        assert ended.value.code == 0 and "xit codes" in out and "Cancelled" in out
