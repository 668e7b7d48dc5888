"""The addresses of the Durable HTTP API, for the durableClient binding and the answers to a start (durable.md §4.4)."""

from __future__ import annotations

import json
from urllib.parse import quote

PUBLIC_BASE = "/runtime/webhooks/durabletask"
RPC_BASE = "/durabletask"
DEFAULT_CONNECTION = "Storage"
_INSTANCE_PLACEHOLDER = "INSTANCEID"


def query_string(hub_name: str, key: str | None) -> str:
    """What management URLs carry."""
    code = f"&code={quote(key, safe='')}" if key else ""
    return f"taskHub={hub_name}&connection={DEFAULT_CONNECTION}{code}"


def management_urls(base: str, query: str, instance_id: str) -> dict[str, str]:
    """The addresses of one instance; `base` is the public origin with PUBLIC_BASE."""
    instance = f"{base}/instances/{instance_id}"
    return {
        "id": instance_id,
        "statusQueryGetUri": f"{instance}?{query}",
        "sendEventPostUri": f"{instance}/raiseEvent/{{eventName}}?{query}",
        "terminatePostUri": f"{instance}/terminate?reason={{text}}&{query}",
        "rewindPostUri": f"{instance}/rewind?reason={{text}}&{query}",
        "purgeHistoryDeleteUri": f"{instance}?{query}",
        "restartPostUri": f"{instance}/restart?{query}",
        "suspendPostUri": f"{instance}/suspend?reason={{text}}&{query}",
        "resumePostUri": f"{instance}/resume?reason={{text}}&{query}",
    }


def client_binding(origin: str, rpc_origin: str, hub_name: str, key: str | None) -> str:
    """The value of a durableClient input."""
    base = f"{origin}{PUBLIC_BASE}"
    code = f"code={quote(key, safe='')}" if key else ""
    create = f"{base}/orchestrators/{{functionName}}[/{{instanceId}}]"
    wait = "timeout={timeoutInSeconds}&pollingInterval={intervalInSeconds}"
    return json.dumps(
        {
            "taskHubName": hub_name,
            "connectionName": None,
            "creationUrls": {
                "createNewInstancePostUri": f"{create}?{code}" if code else create,
                "createAndWaitOnNewInstancePostUri": f"{create}?{wait}" + (f"&{code}" if code else ""),
            },
            "managementUrls": management_urls(base, query_string(hub_name, key), _INSTANCE_PLACEHOLDER),
            "baseUrl": base,
            "requiredQueryStringParameters": code,
            "rpcBaseUrl": f"{rpc_origin}{RPC_BASE}/",
            "httpBaseUrl": None,
        }
    )
