"""An order: stock, money, confirmation, parcel, in this order; a failure takes back what was done, newest first."""

import azure.durable_functions as df

from activities.analytics import record_sale
from activities.mail import mail_confirmation
from activities.orders import confirm_order, hand_over_order, withdraw_order
from activities.parcels import start_shipment
from activities.payments import charge_payment, refund_payment
from activities.stock import release_stock, reserve_stock
from jobs import money
from jobs.errors import JobError
from jobs.saga import ACTION, DUTY, Saga
from orchestrators.decision import approve

blueprint = df.Blueprint()

PLAN = (reserve_stock, charge_payment, confirm_order, hand_over_order, mail_confirmation)


@blueprint.orchestration_trigger(context_name="context")
def order(context: df.DurableOrchestrationContext):
    return (yield from sell(context))


def sell(context: df.DurableOrchestrationContext):
    """The order's steps. Nothing sensitive comes here: activities that need the customer open the claim."""
    saga = Saga(context, PLAN)
    currency = saga.input["currency"]
    try:
        wanted = {"lines": saga.input["lines"], "currency": currency}
        sold = yield from saga.do(reserve_stock, wanted, undo=release_stock)
        if sold.pop("needsApproval", False):
            yield from approve(saga, *_question(sold))

        amount = {"amount": sold["total"], "currency": currency}
        payment = yield from saga.do(charge_payment, amount, undo=refund_payment)

        sold["charge"] = payment["charge"]
        yield from saga.do(confirm_order, sold, undo=withdraw_order)
        handed_over = yield from saga.do(hand_over_order, {}, final=True)
    except JobError as error:
        return (yield from saga.undo(error))

    sale = {"total": sold["total"], "currency": currency}
    after = {mail_confirmation: sale, record_sale: sale}
    # An older version of the app, which may have done that step, has said nothing.
    is_shipped = bool(handed_over and handed_over["carrier"])
    if is_shipped:
        after[start_shipment] = {}
    returned = {}
    failures = yield from saga.also(after, policy=DUTY if is_shipped else ACTION, returned=returned)
    # The number by which its shipment is found.
    sold |= returned.get(start_shipment) or {}
    return (yield from saga.complete({**sold, "incomplete": failures} if failures else sold))


def _question(sold):
    total = f"{money.written(sold['total'], sold['currency'], grouped=True)} {sold['currency']}"
    articles = ", ".join(f"{line['quantity']} x {line['sku']}" for line in sold["lines"])
    return f"May this order for {total} be sold?", {"total": total, "articles": articles}
