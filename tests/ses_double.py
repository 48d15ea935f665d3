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
    """A mail that was accepted: when it was given and accepted (seconds since the epoch), by whom.

    `by` is the path under which its sender knows us; empty: none.
    """

    at: float
    to: tuple[str, ...]
    raw: bytes
    asked_at: float = 0.0
    by: str = ""

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
        # Answers nobody before so many have asked.
        self.answers_from = 0
        # Accepts the mail and ends the connection without a word.
        self.hangs_up: Callable[[str], bool] = lambda _: False
        # Answers so instead of accepting: status, headers, body.
        self.odd_answer: Callable[[], tuple[int, dict[str, str], bytes] | None] = lambda: None
        # Answers a byte at a time, for so long.
        self.trickles_for_s = 0.0
        self.because = "no"
        self._numbers = itertools.count(1)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Accept a mail, or say why not."""
        asked_at = time.time()
        self.asked_at.append(asked_at)
        asked = msgspec.json.decode(await request.read())
        to = tuple(asked["Destination"]["ToAddresses"])
        while len(self.asked_at) < self.answers_from:
            await asyncio.sleep(0.01)
        if self.answers_after_s:
            await asyncio.sleep(self.answers_after_s)
        if self.trickles_for_s:
            return await self._trickle(request)
        if odd := self.odd_answer():
            status, headers, body = odd
            return web.Response(status=status, headers=headers, body=body)
        if error := self.trouble(to[0]):
            return web.json_response(
                {"message": self.because},
                status=STATUSES[error],
                headers={"x-amzn-ErrorType": error},
            )
        raw = base64.b64decode(asked["Content"]["Raw"]["Data"])
        by = request.match_info.get("by", "")
        self.accepted.append(AcceptedMail(time.time(), to, raw, asked_at, by))
        if self.hangs_up(to[0]) and request.transport is not None:
            request.transport.abort()
        return web.json_response({"MessageId": f"ses-{next(self._numbers)}"})

    async def _trickle(self, request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        until = time.monotonic() + self.trickles_for_s
        while time.monotonic() < until:
            await answer.write(b" ")
            await asyncio.sleep(0.05)
        return answer


@asynccontextmanager
async def running_ses_double() -> AsyncIterator[SesDouble]:
    """Serve it on a free port of this machine."""
    double = SesDouble()
    pages = web.Application(client_max_size=50_000_000)
    path = "/v2/email/outbound-emails"
    pages.add_routes([web.post(path, double.answer), web.post("/{by}" + path, double.answer)])
    runner = web.AppRunner(pages, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, LOCALHOST, double.port).start()
        yield double
    finally:
        await runner.cleanup()
