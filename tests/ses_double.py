"""A small SES v2 endpoint over HTTP that can be slow, throttle, refuse and be out of order.

Where moto always accepts, this one does what the real one does on a bad day.
"""

import asyncio
import base64
import email
import itertools
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import default

import msgspec
from aiohttp import web

from demo.ports import LOCALHOST, free_port

# The error's name and the status that SES gives it.
STATUSES = {
    "TooManyRequestsException": 429,
    "MessageRejected": 400,
    "BadRequestException": 400,
    "SendingPausedException": 400,
    "InternalServiceErrorException": 500,
    "AccessDeniedException": 403,
}


@dataclass(frozen=True)
class AcceptedMail:
    """A mail that was accepted, and when (seconds since the epoch)."""

    at: float
    to: tuple[str, ...]
    raw: bytes

    @property
    def message(self) -> EmailMessage:
        """The mail itself."""
        parsed = email.message_from_bytes(self.raw, policy=default)
        assert isinstance(parsed, EmailMessage)
        return parsed


class SesDouble:
    """Accepts mails unless `trouble` names the error that a recipient is answered with."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"http://{LOCALHOST}:{self.port}"
        self.accepted: list[AcceptedMail] = []
        self.asked_at: list[float] = []
        self.trouble: Callable[[str], str | None] = lambda _: None
        self.answers_after_s = 0.0
        self._numbers = itertools.count(1)

    async def answer(self, request: web.Request) -> web.Response:
        """Accept a mail, or say why not."""
        self.asked_at.append(time.time())
        asked = msgspec.json.decode(await request.read())
        to = tuple(asked["Destination"]["ToAddresses"])
        if self.answers_after_s:
            await asyncio.sleep(self.answers_after_s)
        if error := self.trouble(to[0]):
            return web.json_response(
                {"message": "no"},
                status=STATUSES[error],
                headers={"x-amzn-ErrorType": error},
            )
        raw = base64.b64decode(asked["Content"]["Raw"]["Data"])
        self.accepted.append(AcceptedMail(time.time(), to, raw))
        return web.json_response({"MessageId": f"ses-{next(self._numbers)}"})


@asynccontextmanager
async def running_ses_double() -> AsyncIterator[SesDouble]:
    """Serve it on a free port of this machine."""
    double = SesDouble()
    pages = web.Application(client_max_size=50_000_000)
    pages.add_routes([web.post("/v2/email/outbound-emails", double.answer)])
    runner = web.AppRunner(pages, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, LOCALHOST, double.port).start()
        yield double
    finally:
        await runner.cleanup()
