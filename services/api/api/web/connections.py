"""EDGE: what one connection may cost: how long a request's head may be and take, how slow a reader.

uvicorn's parser keeps whatever comes until a head ends, and waits for a reader as long as there
is one. A reader who takes too little is cut off, so that nobody's answers stay in memory.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from api.contract.problems import HEAD_TOO_LARGE, HEAD_TOO_SLOW, MEDIA_TYPE, Kind, Problem

# The longest that we ask for is a cursor of 300 letters; browsers' cookies of other services come
# along.
LONGEST_HEAD: Final = 32 * 1024
# Who reads takes so much in `taken_within_s` while there is more: 2 kB a second.
LEAST_TAKEN: Final = 64 * 1024


class BoundedConnection(HttpToolsProtocol):
    """A connection of uvicorn's that does not wait for ever."""

    head_within_s = 10.0
    taken_within_s = 30.0

    def __init__(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401  uvicorn's
        """As uvicorn makes it; nothing has come yet."""
        super().__init__(*arguments, **options)
        self._head_bytes = 0
        self._waits_for_head = _Timer(self.loop, self.head_within_s, self._on_late_head)
        self._waits_for_reader = _Timer(self.loop, self.taken_within_s, self._on_slow_reader)
        self._left_to_take = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Somebody has connected: the first head is due."""
        super().connection_made(transport)
        self._waits_for_head.start()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody waits for anything any more."""
        self._waits_for_head.stop()
        self._waits_for_reader.stop()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Part of a request has come."""
        self._head_bytes += len(data)
        super().data_received(data)
        if not self._waits_for_head.running:
            self._head_bytes = 0
        elif self._head_bytes > LONGEST_HEAD and not self.transport.is_closing():
            self._refuse(HEAD_TOO_LARGE, f"A request's head may have {LONGEST_HEAD:,} bytes.")

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        if not self._waits_for_head.running:
            self._waits_for_head.start()

    def on_headers_complete(self) -> None:
        """A head is there."""
        self._waits_for_head.stop()
        super().on_headers_complete()

    def pause_writing(self) -> None:
        """The reader is slower than we are."""
        super().pause_writing()
        self._watch_reader()

    def resume_writing(self) -> None:
        """The reader has caught up."""
        self._waits_for_reader.stop()
        super().resume_writing()

    def _watch_reader(self) -> None:
        self._left_to_take = self.transport.get_write_buffer_size()
        self._waits_for_reader.start()

    def _on_slow_reader(self) -> None:
        taken = self._left_to_take - self.transport.get_write_buffer_size()
        if taken < LEAST_TAKEN:
            self.transport.abort()
        else:
            self._watch_reader()

    def _on_late_head(self) -> None:
        if self.transport.is_closing():
            return
        if self._head_bytes == 0:
            self.transport.close()
        else:
            self._refuse(
                HEAD_TOO_SLOW, f"A request's head may take {self.head_within_s:.0f} seconds."
            )

    def _refuse(self, kind: Kind, detail: str) -> None:
        """Answer with a problem and end the connection: what else comes is no request."""
        self._waits_for_head.stop()
        body = Problem(kind, detail).body()
        head = (
            f"content-type: {MEDIA_TYPE}\r\ncontent-length: {len(body)}\r\n"
            "connection: close\r\n\r\n"
        )
        self.transport.write(STATUS_LINE[kind.status] + head.encode() + body)
        self.transport.close()


class _Timer:
    """What is done after some time, unless it is stopped before."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, seconds: float, then: Callable[[], None]
    ) -> None:
        self._loop = loop
        self._seconds = seconds
        self._then = then
        self._handle: asyncio.TimerHandle | None = None

    @property
    def running(self) -> bool:
        return self._handle is not None

    def start(self) -> None:
        self.stop()
        self._handle = self._loop.call_later(self._seconds, self._fire)

    def stop(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _fire(self) -> None:
        self._handle = None
        self._then()
