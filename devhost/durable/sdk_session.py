"""The HTTP session that the SDK's client keeps for the whole process.

In Azure it ends with the worker process. Here several hosts may follow one another in a process, each on an event loop
of its own, and a session that belongs to a closed loop would fail every call of the next host's clients.
"""

from __future__ import annotations

import asyncio
import sys

_MODULE = "azure.durable_functions.models.utils.http_utils"


async def close_client_session() -> None:
    """Close the session, if the SDK has been loaded and has made one; it makes a new one when it needs it."""
    module = sys.modules.get(_MODULE)
    session = getattr(module, "_client_session", None)
    if session is None:
        return
    module._client_session = None
    module._session_lock = asyncio.Lock()
    await session.close()
