"""What `devhost tick` says before it asks a host."""

from __future__ import annotations

import pytest

from devhost.errors import ServiceUnavailableError
from devhost.tick import TickError, tick


@pytest.mark.parametrize("at", ["yesterday", "02:30", "2026-03-29T02:30:00", "2026-13-01T00:00:00Z"])
def test_a_moment_that_is_none_is_said_with_an_example(at):
    with pytest.raises(TickError) as raised:
        tick("http://127.0.0.1:1", "nightly", at)
    assert at in raised.value.message
    assert "2026-03-29T02:30:00+01:00" in raised.value.remedy


def test_no_host_is_said_with_its_remedy(free_tcp_port):
    with pytest.raises(ServiceUnavailableError, match=f"No host answers at 127.0.0.1:{free_tcp_port}") as raised:
        tick(f"http://127.0.0.1:{free_tcp_port}", "nightly")
    assert "--port" in raised.value.remedy
