"""How a host is to run: what the command line, or a test, says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from devhost.clock import Clock


@dataclass(slots=True)
class HostOptions:
    """How a host is to run; what is None comes from local.settings.json or from the defaults."""

    port: int | None = None
    """0: any free port."""
    address: str | None = None
    functions: list[str] | None = None
    """Only these, whatever host.json says."""
    verbose: bool = False
    cors: str | None = None
    cors_credentials: bool | None = None
    enable_auth: bool = False
    task_hub: str | None = None
    """The Durable task hub's file."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """Settings that stand before the environment and local.settings.json."""
    use_local_settings: bool = True
    clock: Clock = field(default_factory=Clock)
