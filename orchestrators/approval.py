"""An approval: a question that somebody outside asks, and a person answers, or the default does."""

import azure.durable_functions as df

from activities.approvals import check_vote, open_approval
from jobs.errors import JobError
from jobs.saga import Saga
from orchestrators.decision import ask

blueprint = df.Blueprint()

PLAN = (open_approval, check_vote)


@blueprint.orchestration_trigger(context_name="context")
def approval(context: df.DurableOrchestrationContext):
    return (yield from have_decided(context))


def have_decided(context: df.DurableOrchestrationContext):
    """The approval's steps. A rejection is an answer like any other: the job is Completed."""
    saga = Saga(context, PLAN)
    try:
        found = yield from ask(saga, saga.input["question"], saga.input["details"], saga.input["default"])
    except JobError as error:
        return (yield from saga.undo(error))
    return (yield from saga.complete(found))
