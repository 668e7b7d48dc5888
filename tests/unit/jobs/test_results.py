"""Links to the files that a result names: which get one, for how long, and by whose key."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest
from azure.storage.blob import UserDelegationKey
from azure.storage.blob.aio import BlobServiceClient

from jobs import results
from jobs.clients import clients

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("storage")]


@pytest.mark.parametrize("container", ["thumbnails", "import-reports", "reports", "results"])
async def test_a_file_that_a_job_made_has_a_link(container):
    name = "ä b/100%25#1?.txt"
    await clients().container(container).upload_blob(name, b"made", overwrite=True)
    kept = {"files": [{"blob": f"{container}/{name}", "width": 5}], "n": 1}
    shown = await results.with_links(kept)
    assert shown == kept | {"files": [kept["files"][0] | {"url": shown["files"][0]["url"]}]}
    async with aiohttp.ClientSession() as http, http.get(shown["files"][0]["url"]) as answer:
        assert await answer.read() == b"made"


@pytest.mark.parametrize(
    "blob",
    [
        "photos/a.jpg",
        "claims/order/1.json",
        "dead-letters/x",
        "order-imports/a.csv",
        "reports",
        "reports/",
        "/reports/a",
    ]
    + ["reports2/a", "", None, 7, ["reports/a"], {"reports": "a"}],
)
async def test_nothing_else_has_one(blob):
    assert "url" not in str(await results.with_links({"blob": blob}))


async def test_a_name_does_not_lead_out_of_its_container():
    await clients().container("claims").upload_blob("secret.json", b"secret", overwrite=True)
    shown = await results.with_links({"blob": "reports/../claims/secret.json"})
    async with aiohttp.ClientSession() as http, http.get(shown["url"]) as answer:
        assert answer.status >= 400


@pytest.mark.parametrize("result", [None, 5, "reports/a", [], [1, {"a": None}], {"url": "x"}])
async def test_other_results_stay_as_they_are(result):
    assert await results.with_links(result) == result


def _expiry(url: str) -> timedelta:
    (text,) = parse_qs(urlsplit(url).query)["se"]
    return datetime.fromisoformat(text) - datetime.now(UTC)


async def test_a_link_lives_as_long_as_asked_but_no_longer_than_a_key_may():
    assert timedelta(seconds=50) < _expiry(await results.link("reports/a", 60)) <= timedelta(seconds=60)
    assert timedelta(days=6, hours=23) < _expiry(await results.link("reports/a", 30 * 86_400)) < timedelta(days=7)


class WithIdentity(BlobServiceClient):
    """A storage account that the app enters with its identity, and that remembers which keys were asked for."""

    asked: list[timedelta]

    async def get_user_delegation_key(self, start, expiry):
        self.asked.append(expiry - start)
        key = UserDelegationKey()
        key.signed_oid = key.signed_tid = "00000000-0000-0000-0000-000000000000"
        key.signed_start, key.signed_expiry = (at.strftime("%Y-%m-%dT%H:%M:%SZ") for at in (start, expiry))
        key.signed_service, key.signed_version, key.value = "b", "2020-02-10", "a2V5"
        return key


async def test_with_an_identity_one_key_signs_many_links():
    service = WithIdentity("https://shop.blob.core.windows.net")
    service.asked = []
    await clients().blob_service.close()
    clients().blob_service = service
    urls = [await results.link(f"reports/{number}", 900) for number in range(50)]
    assert service.asked == [results.LONGEST_KEY]
    assert len({parse_qs(urlsplit(url).query)["skt"][0] for url in urls}) == 1
    long_lived = await results.link("reports/a", 7 * 86_400)
    signed = parse_qs(urlsplit(long_lived).query)
    assert signed["se"] <= signed["ske"] and max(service.asked) <= timedelta(days=7)
