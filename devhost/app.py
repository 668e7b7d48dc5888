"""One function app, configured and loaded but not run: its settings, its host.json, its functions, its places."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

from devhost.errors import DevhostError, FunctionLoadError
from devhost.functions import Function
from devhost.host_id import HOST_ID_SETTING, local_host_id
from devhost.host_json import HostJson
from devhost.host_options import HostOptions
from devhost.http.cors import Cors
from devhost.indexer import index
from devhost.loader import load_functions
from devhost.local_settings import LocalSettings, read_local_settings
from devhost.script_root import app_environment
from devhost.settings import Settings, effective_values

DEFAULT_PORT = 7071


class App:
    """What there is of an app before it runs; devhost.host.Host runs it."""

    def __init__(self, script_root: Path, options: HostOptions | None = None) -> None:
        self.script_root = script_root.resolve()
        self.options = options or HostOptions()
        self.functions: dict[str, Function] = {}
        self.errors: list[FunctionLoadError] = []
        """Functions that could not be loaded."""
        self.id = local_host_id(self.script_root)
        self.settings: Settings
        self.json: HostJson
        self.port = 0
        self.address = ""
        self.on_configured: Callable[[], None] = lambda: None
        """Called once host.json has been read, before the app is imported."""
        self._local = LocalSettings()
        self._environment = contextlib.ExitStack()

    def read_settings(self) -> None:
        """Read local.settings.json and settle the address. Raises LocalSettingsError."""
        local = read_local_settings(self.script_root) if self.options.use_local_settings else None
        self._local = local or LocalSettings()
        given, local = self.options, self._local
        self.port = given.port if given.port is not None else local.port or DEFAULT_PORT
        self.address = given.address or str(local.host.get("LocalHttpAddress", "127.0.0.1"))

    def configure(self) -> dict[str, str]:
        """Settle the settings, which it returns, and read host.json. Raises DevhostError."""
        values = effective_values(self._local, os.environ, {**self._own_settings(), **self.options.settings})
        self.settings = Settings(values, self.script_root)
        self.id = (self.settings.get(HOST_ID_SETTING) or self.id).lower()
        self.json = HostJson.load(self.script_root, self.settings)
        return values

    def load(self) -> None:
        """Read host.json, import the app, index its functions. Raises DevhostError; close() undoes it."""
        values = self.configure()
        self.on_configured()
        self._environment.enter_context(app_environment(self.script_root, values))
        found = load_functions(self.script_root, os.environ)
        allowed = self.options.functions or self.json.allowed_functions
        indexed = index(found, self.settings, self.json, allowed)
        self.functions, self.errors = indexed.functions, indexed.errors
        unknown = {name.lower() for name in allowed or ()} - {source.get_function_name().lower() for source in found}
        if unknown:
            raise DevhostError(
                f"The app has no function named {', '.join(sorted(unknown))}.",
                f"It has: {', '.join(sorted(source.get_function_name() for source in found))}.",
            )

    def close(self) -> None:
        """Give the process its environment, cwd and sys.path back. Host.stop() does it too."""
        self._environment.close()

    @property
    def needs_durable(self) -> bool:
        """Whether a function is a durable one or has a durable client."""
        return any(
            function.is_durable or any(binding.type == "durableClient" for binding in function.inputs)
            for function in self.functions.values()
        )

    def url_of(self, function: Function) -> str | None:
        """The address of an HTTP function, its template shown as it is written; None for other functions."""
        if function.trigger.type != "httpTrigger":
            return None
        parts = (self.json.route_prefix, function.trigger.properties.get("route") or function.name)
        return "/".join([self.origin, *(part.strip("/") for part in parts if part)])

    @property
    def origin(self) -> str:
        """Where the host is reached: `http://localhost:7071`."""
        return f"http://localhost:{self.port}"

    @property
    def task_hub(self) -> Path:
        """The Durable task hub's file."""
        configured = self.options.task_hub or self.settings.get("DEVHOST_TASK_HUB")
        if configured:
            return Path(configured)
        name = self.json.extension("durableTask").get("hubName") or self.settings.get("WEBSITE_SITE_NAME")
        return self.script_root / ".devhost" / f"{self.settings.resolve(name or 'TestHubName')}.sqlite3"

    def cors(self) -> Cors:
        """Which origins a browser may call from."""
        host = self._local.host
        credentials = self.options.cors_credentials
        return Cors.parse(
            self.options.cors if self.options.cors is not None else host.get("CORS"),
            credentials if credentials is not None else bool(host.get("CORSCredentials", False)),
        )

    def _own_settings(self) -> dict[str, str]:
        return {
            "AZURE_FUNCTIONS_ENVIRONMENT": "Development",
            "AzureWebJobsScriptRoot": str(self.script_root),
            "WEBSITE_HOSTNAME": f"localhost:{self.port}",
            "FUNCTIONS_WORKER_RUNTIME": "python",
        }
