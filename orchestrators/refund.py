"""A refund: the money is set aside, a person approves, the gateway pays, and the customer is told."""

import azure.durable_functions as df

from activities.refunds import mail_refund, pay_refund, release_refund, reserve_refund
from jobs.errors import JobError
from jobs.saga import DUTY, Saga
from orchestrators.decision import approve

blueprint = df.Blueprint()

PLAN = (reserve_refund, pay_refund, mail_refund)


@blueprint.orchestration_trigger(context_name="context")
def refund(context: df.DurableOrchestrationContext):
    return (yield from give_back(context))


def give_back(context: df.DurableOrchestrationContext):
    """The refund's steps. The amount is set aside before anybody is asked, so that what is approved can be paid."""
    saga = Saga(context, PLAN)
    order, reason = saga.input["order"], saga.input["reason"]
    about = {"order": order}
    try:
        wanted = {**about, "amount": saga.input.get("amount")}
        reserved = yield from saga.do(reserve_refund, wanted, undo=release_refund)
        amount = {name: reserved[name] for name in ("amount", "currency")}

        details = {**about, "amount": reserved["written"], "reason": reason}
        approval = yield from approve(saga, f"Refund {reserved['written']} of order {order}?", details)
        payment = yield from saga.do(pay_refund, about, final=True, policy=DUTY)
    except JobError as error:
        return (yield from saga.undo(error))

    failures = yield from saga.also({mail_refund: {**about, "written": reserved["written"]}})
    result = {**about, **amount, "refund": payment, "approval": approval}
    return (yield from saga.complete({**result, "incomplete": failures} if failures else result))
