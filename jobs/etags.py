"""ETags: requests of which storage does nothing when somebody else was quicker."""

from __future__ import annotations

from typing import Any

from azure.core import MatchConditions


def if_match(etag: str) -> dict[str, Any]:
    """Arguments for a request of the table or blob client about what must still be the version with that ETag.

    Else it raises ResourceModifiedError, or in a transaction TableTransactionError.
    """
    return {"etag": etag, "match_condition": MatchConditions.IfNotModified}
