"""The HTTP door to the dashboard, a page without any data: what it shows it asks of the other doors, with a key."""

import azure.durable_functions as df
import azure.functions as func

from jobs.dashboard_page import page
from triggers.answers import answering
from triggers.conditional import is_seen

blueprint = df.Blueprint()


@blueprint.route(route="dashboard", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
@answering
async def dashboard(req: func.HttpRequest) -> func.HttpResponse:
    found = page()
    if is_seen(req, found.version):
        return func.HttpResponse(status_code=304, headers=found.headers)
    return func.HttpResponse(found.html, headers=found.headers, mimetype="text/html", charset="utf-8")
