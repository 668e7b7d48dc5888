"""How often each failed body was put back: what fails a third time needs a person, not a third try."""

from __future__ import annotations

from azure.core.exceptions import ResourceExistsError, ResourceModifiedError, ResourceNotFoundError
from azure.data.tables import UpdateMode

from jobs.clients import clients
from jobs.errors import ReplayRefusedError
from jobs.etags import if_match

MOST_REPLAYS = 2


async def enter(letter_id: str, key: str) -> None:
    """Count the replay of a letter whose body is known by `key`. The same letter again is the same replay, resumed.

    Raises ReplayRefusedError when its body was put back as often as it may be.
    """
    table = clients().table("replays")
    while True:
        keys = {"PartitionKey": key[:2], "RowKey": key}
        try:
            row = await table.get_entity(key[:2], key)
            if row["letter"] == letter_id:
                return
            if row["count"] >= MOST_REPLAYS:
                raise ReplayRefusedError(
                    f"it was replayed {MOST_REPLAYS} times and failed again: find out why, submit it anew and discard "
                    "this dead letter"
                )
            counted = {**keys, "count": row["count"] + 1, "letter": letter_id}
            await table.update_entity(counted, mode=UpdateMode.REPLACE, **if_match(row.metadata["etag"]))
            return
        except ResourceNotFoundError:
            try:
                await table.create_entity({**keys, "count": 1, "letter": letter_id})
                return
            except ResourceExistsError:
                continue
        except ResourceModifiedError:
            continue
