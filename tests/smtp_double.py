"""A mail server over SMTP that answers each step as a test says, or not at all."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from demo.ports import LOCALHOST


class SmtpDouble:
    """A mail server that answers each step as the test says; None: not at all."""

    def __init__(self, answers: Callable[[str], bytes | None]) -> None:
        self.answers = answers
        self.port = 0
        self.texts = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._converse(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
            pass
        finally:
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not await self._say("greeting", writer):
            return
        while line := await reader.readline():
            word = line[:4].decode("latin-1").strip().lower()
            if not await self._say(word, writer):
                return
            if word == "data":
                await reader.readuntil(b"\r\n.\r\n")
                self.texts += 1
                if not await self._say("text", writer):
                    return

    async def _say(self, step: str, writer: asyncio.StreamWriter) -> bool:
        answer = self.answers(step)
        if answer is not None:
            writer.write(answer)
            await writer.drain()
        return answer is not None


USUAL = {
    "greeting": b"220 here\r\n", "ehlo": b"250 here\r\n", "mail": b"250 ok\r\n",
    "rcpt": b"250 ok\r\n", "data": b"354 go on\r\n", "text": b"250 kept\r\n",
    "quit": b"221 bye\r\n", "helo": b"250 here\r\n", "star": b"502 no\r\n",
    "auth": b"235 ok\r\n", "rset": b"250 ok\r\n",
}  # fmt: skip


@asynccontextmanager
async def running_smtp_double(
    answers: Callable[[str], bytes | None],
) -> AsyncIterator[SmtpDouble]:
    """Serve it on a free port of this machine."""
    double = SmtpDouble(answers)
    server = await asyncio.start_server(double.serve, LOCALHOST, 0)
    double.port = server.sockets[0].getsockname()[1]
    async with server:
        yield double
