"""The connections: made once each, and anew after they were closed."""

from __future__ import annotations

import pytest

from jobs.clients import clients
from jobs.settings import settings

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("storage")]


def of(name: str) -> tuple:
    return clients().table(name), clients().container(name), clients().queue(name)


async def test_each_is_made_once_and_anew_after_closing():
    first = of("jobs")
    assert all(one is other for one, other in zip(first, of("jobs"), strict=True))
    assert of("other")[2].queue_name == "other"
    await clients().close()
    assert not any(one is other for one, other in zip(first, of("jobs"), strict=True))
    await clients().table("jobs").get_table_access_policy()  # it is open


@pytest.mark.parametrize("proxy", [None, "http://127.0.0.1:9"])
async def test_a_proxy_of_the_environment_is_used(monkeypatch, proxy):
    """Port 9 answers nobody, so that whatever goes there fails."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    if proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy)
    await clients().close()
    monkeypatch.setattr("jobs.clients._RETRIES", {"retry_total": 0})
    settings.cache_clear()
    request = clients().queue("jobs").get_queue_properties()
    if proxy is None:
        assert (await request).name == "jobs"
    else:
        with pytest.raises(Exception, match="127.0.0.1:9|Cannot connect"):
            await request
    await clients().close()
