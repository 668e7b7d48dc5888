"""A real receiver of callbacks, which answers as a test tells it to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from aiohttp import web

HANGS, CLOSES, REDIRECTS, ENDLESS = "hangs", "closes", "redirects", "an endless body"


@dataclass
class Got:
    """A request that came, and what it was answered."""

    path: str
    headers: dict[str, str]
    body: bytes
    answer: int | str


@dataclass
class Receiver:
    """Answers with statuses, or misbehaves, in the order of `answers`; the last of them stays."""

    answers: list[int | str] = field(default_factory=lambda: [200])
    got: list[Got] = field(default_factory=list)
    port: int = 0
    before_answering: Callable[[], None] = lambda: None
    _over: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook?token=very-secret"

    @property
    def accepted(self) -> list[Got]:
        return [each for each in self.got if each.answer == 200]

    async def _take(self, request: web.Request) -> web.StreamResponse:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.got.append(Got(request.path, headers, await request.read(), answer))
        self.before_answering()
        if answer == HANGS:
            await self._over.wait()
        if answer == CLOSES:
            request.transport.abort()
        if answer == REDIRECTS:
            raise web.HTTPTemporaryRedirect(f"http://127.0.0.1:{self.port}/elsewhere")
        if answer == ENDLESS:
            return await self._answer_for_ever(request)
        headers = {"Set-Cookie": "session=1"} | ({"Retry-After": "77"} if answer == 429 else {})
        return web.Response(status=answer, headers=headers) if isinstance(answer, int) else web.Response()

    async def _answer_for_ever(self, request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(status=200)
        await answer.prepare(request)
        with suppress(ConnectionError):
            while True:
                await answer.write(b"x" * 65536)
        return answer


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """Run one on a free port of this machine."""
    receiver = Receiver()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", receiver._take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    receiver.port = site._server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        receiver._over.set()
        await runner.cleanup()
