"""Approvals as a job sees them: opened, asked for by mail, reminded of, looked at, decided by default, withdrawn."""

from datetime import datetime

import azure.durable_functions as df

from activities import mail
from jobs import approval_links, approval_rounds, approvals, clock, ledger
from jobs.approval_links import Invitation
from jobs.approvals import Approval
from jobs.call import Call, outcome
from jobs.catalog import kind_named
from jobs.errors import SettingMissingError
from jobs.settings import settings

blueprint = df.Blueprint()

WAITS_FOR = "approval"
"""What the ledger and the status say of a job that waits for a person."""
COUNTS_AS = {"approve": "approved", "reject": "rejected"}


@blueprint.activity_trigger(input_name="call")
async def open_approval(call: dict) -> dict:
    return await outcome(open_question, call)


@blueprint.activity_trigger(input_name="call")
async def ask_approver(call: dict) -> dict:
    return await outcome(ask, call)


@blueprint.activity_trigger(input_name="call")
async def remind_approver(call: dict) -> dict:
    return await outcome(remind, call)


@blueprint.activity_trigger(input_name="call")
async def check_vote(call: dict) -> dict:
    return await outcome(check, call)


@blueprint.activity_trigger(input_name="call")
async def decide_by_default(call: dict) -> dict:
    return await outcome(default, call)


@blueprint.activity_trigger(input_name="call")
async def withdraw_approval(call: dict) -> dict:
    return await outcome(withdraw, call)


async def open_question(call: Call) -> dict:
    """Enter the question, and that the job waits. Input: `question`, `details`, `default` (approve, reject).

    Returns what the wait goes by: `wake`, the event that calls to look, and `rounds` with `remindAt` and `endsAt`,
    fixed here, whatever the settings become. Raises SettingMissingError when nobody could be asked.
    """
    approvers = settings().approvers
    if not approvers:
        raise SettingMissingError(
            "the app setting APPROVERS is missing: set it to the mail addresses of those who approve, the first to be "
            "asked first, in local.settings.json (Values), or among the function app's settings in Azure"
        )
    approval_links.check_key()
    settings().required("mail_from")
    settings().required("smtp_host")
    plan = approval_rounds.planned(approvers, settings().approval_reminder, settings().approval_escalation)
    asked = call.input
    opened = await approvals.open_for(call.job, asked["question"], asked["details"], asked["default"], plan)
    await _enter_wait(call, WAITS_FOR, datetime.fromisoformat(opened.expires_at))
    rounds = [{"remindAt": each.remind_at, "endsAt": each.ends_at} for each in opened.rounds]
    return {"wake": opened.wake, "rounds": rounds}


async def ask(call: Call) -> dict:
    """Mail the question to the approver of the `round` in the input, which has begun: the links before end with it.

    Returns the `decision`, None while there is none; like all that follow.
    """
    round = call.input["round"]
    found = await approvals.change(
        await approvals.get(call.job.instance_id),
        lambda found: {"round": round} if found.is_open and found.round < round else None,
    )
    return await _mail(call, found, "Approval wanted")


async def remind(call: Call) -> dict:
    """Mail the same once more, to who has not answered."""
    return await _mail(call, await approvals.get(call.job.instance_id), "Reminder: approval wanted")


async def check(call: Call) -> dict:
    """Look, because the event `wake` of the input has come. After a false alarm there is a new `wake` to wait for."""
    heard = call.input["wake"]

    def next_wake(found: Approval) -> dict | None:
        if not found.is_open or found.wake != heard:
            return None
        name, _, number = heard.rpartition(".")
        return {"wake": f"{name}.{int(number) + 1}"}

    found = await approvals.change(await approvals.get(call.job.instance_id), next_wake)
    return {"decision": await _decision(call, found), "wake": found.wake}


async def default(call: Call) -> dict:
    """Decide as the question has it for when nobody answers, unless somebody has."""
    found = await approvals.decide_by_default(call.job.instance_id)
    return {"decision": await _decision(call, found)}


async def withdraw(call: Call) -> None:
    """Close the question if it is open, also one that was never asked."""
    await approvals.bar(call.job)


async def _decision(call: Call, approval: Approval) -> dict | None:
    """What was decided, if it was; then the job goes on, and the ledger is told so."""
    if approval.is_open:
        return None
    await _enter_wait(call, None, clock.now())
    return approval.decision


async def _enter_wait(call: Call, what: str | None, until: datetime) -> None:
    """Tell the ledger what the job waits for, until when at most. From then on it may take the time of its kind."""
    await ledger.wait_for(call.job, what, until + kind_named(call.job.kind).deadline)


async def _mail(call: Call, approval: Approval, what: str) -> dict:
    if (round := call.input["round"]) == approval.round and approval.is_open:
        ends_at = datetime.fromisoformat(approval.rounds[round].ends_at)
        expires_at = datetime.fromisoformat(approval.expires_at)
        link = Invitation(approval.id, round, ends_at).url()
        details = "".join(f"{name}: {value}\n" for name, value in approval.details.items())
        text = (
            f"{approval.question}\n\n{details}asked by: {approval.kind} {approval.job_id}\n\n"
            f"Look at it and decide until {ends_at:%Y-%m-%d %H:%M} UTC:\n\n{link}\n\n"
            "The link is for you alone: whoever has it can decide. "
            f"If nobody has decided by {expires_at:%Y-%m-%d %H:%M} UTC, it counts as {COUNTS_AS[approval.default]}.\n"
        )
        subject = f"{what} ({approval.kind} {approval.job_id}): {approval.question}"
        # A later job of the same id asks another question.
        key = f"{call.key}/{approval.opened_at}"
        await mail.deliver(approval.approver, subject, text, key=key, correlation_id=call.job.correlation_id)
    return {"decision": await _decision(call, approval)}
