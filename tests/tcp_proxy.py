"""A TCP proxy between a program and a server that does what networks do on a bad day.

It runs in the test's own loop. Towards the program it goes on acknowledging at the level of TCP,
as a load balancer in between would: only time-outs of the program's own notice its silence.
"""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

from demo.ports import LOCALHOST

CHUNK = 65_536


@dataclass
class Link:
    """One connection through the proxy, and the task of each direction."""

    program: asyncio.StreamWriter
    server: asyncio.StreamWriter
    tasks: tuple[asyncio.Task[None], ...] = ()
    is_silent: bool = False


class TcpProxy:
    """Passes bytes on, until told otherwise."""

    def __init__(self, target_port: int) -> None:
        self.port = 0
        self.delay_s = 0.0
        self.swallows_new_ones = False
        self._target_port = target_port
        self._links: list[Link] = []

    def url_through(self, url: str) -> str:
        """The same address, through the proxy."""
        parts = urlsplit(url)
        login = parts.netloc.rpartition("@")[0]
        place = f"{LOCALHOST}:{self.port}"
        return urlunsplit(parts._replace(netloc=f"{login}@{place}" if login else place))

    def swallow(self) -> None:
        """Of the connections that there are, nothing arrives any more; new ones work."""
        for link in self._links:
            link.is_silent = True

    def cut_off(self) -> None:
        """Nothing arrives any more, of new connections neither."""
        self.swallows_new_ones = True
        self.swallow()

    def heal(self) -> None:
        """New connections work; the swallowed ones stay so, as their bytes are lost."""
        self.swallows_new_ones = False
        self.delay_s = 0.0

    def reset(self) -> None:
        """Each connection ends at once, as when the other side's machine is gone."""
        for link in self._links:
            for writer in (link.program, link.server):
                _abort(writer)
        self._links.clear()

    def half_close(self) -> None:
        """The program is told that nothing more comes; what it sends still arrives."""
        for link in self._links:
            with contextlib.suppress(OSError, RuntimeError):
                link.program.write_eof()

    async def accept(self, reader: asyncio.StreamReader, program: asyncio.StreamWriter) -> None:
        """Connect on behalf of a program."""
        try:
            from_server, server = await asyncio.open_connection(LOCALHOST, self._target_port)
        except OSError:
            _abort(program)
            return
        link = Link(program, server, is_silent=self.swallows_new_ones)
        self._links.append(link)
        link.tasks = (
            asyncio.create_task(self._pass_on(link, reader, server)),
            asyncio.create_task(self._pass_on(link, from_server, program)),
        )

    async def _pass_on(
        self, link: Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        with contextlib.suppress(OSError, RuntimeError):
            while data := await reader.read(CHUNK):
                if self.delay_s:
                    await asyncio.sleep(self.delay_s)
                if not link.is_silent:
                    writer.write(data)
                    await writer.drain()
        if not link.is_silent:
            writer.close()

    def close(self) -> None:
        """End all that is open."""
        self.reset()


@asynccontextmanager
async def running_proxy(target_port: int) -> AsyncIterator[TcpProxy]:
    """A proxy to a port of this machine."""
    proxy = TcpProxy(target_port)
    server = await asyncio.start_server(proxy.accept, LOCALHOST, 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        proxy.close()


def _abort(writer: asyncio.StreamWriter) -> None:
    if (link := writer.get_extra_info("socket")) is not None:
        with contextlib.suppress(OSError):
            link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
