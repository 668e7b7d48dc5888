"""Cross-origin requests, as `func start --cors` allows them."""

from __future__ import annotations

from dataclasses import dataclass

from aiohttp import web


@dataclass(frozen=True, slots=True)
class Cors:
    """Which origins may call; none unless configured."""

    origins: frozenset[str] = frozenset()
    credentials: bool = False

    @classmethod
    def parse(cls, origins: str | None, credentials: bool) -> Cors:
        """From a comma-separated list, or `*`."""
        names = (origin.strip().rstrip("/") for origin in (origins or "").split(","))
        return cls(frozenset(name for name in names if name), credentials)

    def preflight(self, request: web.Request) -> web.Response | None:
        """The answer to a preflight request; None when `request` is not one or CORS is off."""
        is_preflight = request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers
        if not self.origins or not is_preflight:
            return None
        response = web.Response(status=204)
        if self._allows(request):
            response.headers["Access-Control-Allow-Methods"] = request.headers["Access-Control-Request-Method"]
            if wanted := request.headers.get("Access-Control-Request-Headers"):
                response.headers["Access-Control-Allow-Headers"] = wanted
        return response

    def add_headers(self, request: web.Request, response: web.StreamResponse) -> None:
        """Tell the browser that the caller's origin is allowed, if it is."""
        if not self._allows(request):
            return
        anyone = "*" in self.origins and not self.credentials
        response.headers["Access-Control-Allow-Origin"] = "*" if anyone else request.headers["Origin"]
        if not anyone:
            response.headers.add("Vary", "Origin")
        if self.credentials:
            response.headers["Access-Control-Allow-Credentials"] = "true"

    def _allows(self, request: web.Request) -> bool:
        origin = request.headers.get("Origin")
        return origin is not None and ("*" in self.origins or origin in self.origins)
