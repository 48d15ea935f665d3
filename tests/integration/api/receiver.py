"""A partner's endpoint: an HTTP server that keeps what it is sent, and answers as it is told."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from aiohttp import web
from standardwebhooks.webhooks import Webhook

from demo.ports import LOCALHOST


class Receiver:
    """What came, in its order; `answer` says with what status each message is answered."""

    def __init__(self) -> None:
        self.url = ""
        self.bodies: list[bytes] = []
        self.headers: list[dict[str, str]] = []
        self.answer: Callable[[dict[str, Any]], int] = lambda _: 204
        self.holds: asyncio.Event | None = None
        self.under_way: Counter[str] = Counter()
        self.overtaken = False
        self._came = asyncio.Condition()

    @property
    def messages(self) -> list[dict[str, Any]]:
        """Every message that came, as often as it came."""
        return [msgspec.json.decode(body) for body in self.bodies]

    @property
    def told(self) -> list[tuple[str, int]]:
        """Kind and number of the ride or rider of each."""
        return [
            (each["type"], each["data"]["ride_id"] or each["data"]["rider_id"])
            for each in self.messages
        ]

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds of what came; the test's own time bounds it."""
        async with self._came:
            await self._came.wait_for(holds)

    def verify(self, secret: str) -> None:
        """Raises where any message is not signed with the secret."""
        for body, headers in zip(self.bodies, self.headers, strict=True):
            Webhook(secret).verify(body, headers)

    async def take(self, request: web.Request) -> web.Response:
        """Answer one request."""
        body = await request.read()
        message = msgspec.json.decode(body)
        about = str((message["data"]["ride_id"], message["data"]["rider_id"]))
        self.under_way[about] += 1
        self.overtaken |= self.under_way[about] > 1
        try:
            async with self._came:
                self.bodies.append(body)
                self.headers.append({name.lower(): each for name, each in request.headers.items()})
                self._came.notify_all()
            if self.holds is not None:
                await self.holds.wait()
            status = self.answer(message)
            where = {"Location": self.url} if status in {301, 302, 307, 308} else {}
            return web.Response(status=status, headers=where)
        finally:
            self.under_way[about] -= 1


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """An endpoint on this machine, until left."""
    receiver = Receiver()
    application = web.Application()
    application.router.add_post("/deloton", receiver.take)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, LOCALHOST, 0)
    await site.start()
    port = runner.addresses[0][1]
    receiver.url = f"http://{LOCALHOST}:{port}/deloton"
    try:
        yield receiver
    finally:
        if receiver.holds is not None:
            receiver.holds.set()
        await runner.cleanup()
