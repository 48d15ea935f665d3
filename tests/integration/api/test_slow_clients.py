"""Who never reads, or never ends a request, costs the others nothing."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from typing import Any

import httpx
import uvicorn
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from api.access.credentials import Scope as KeyScope
from api.web.connections import LONGEST_HEAD, BoundedConnection
from demo.ports import LOCALHOST
from tests.integration.api.served import Served

# More than the sockets of one stalled reader hold between them.
MANY_READINGS = """
INSERT INTO readings SELECT 4711, started_at + second * interval '0.1 s', second, 120, 60, 30, 200
FROM rides, generate_series(2000, 80000) AS second WHERE ride_id = 4711
"""


def ask_and_never_read(served: Served, key: str, path: str) -> socket.socket:
    """A request whose answer nobody takes."""
    asked = socket.socket()
    asked.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    asked.connect((LOCALHOST, httpx.URL(served.url).port or 80))
    head = f"GET {path} HTTP/1.1\r\nHost: api\r\nAccept: text/csv, */*;q=0.1\r\n"
    asked.sendall(f"{head}Authorization: Bearer {key}\r\n\r\n".encode())
    assert asked.recv(12).endswith(b" 200"), "it was refused"
    return asked


async def test_downloads_that_nobody_reads_stop_nobody_and_one_too_many_is_refused(
    fresh: Served,
) -> None:
    await fresh.execute(MANY_READINGS)
    keys = [await fresh.make_key(KeyScope.READ, KeyScope.PERSONAL) for _ in range(3)]
    paths = ["/v1/riders/7001/export", "/v1/rides/4711/readings"] * 2
    with ExitStack() as stack:
        for key in keys:
            for path in paths:
                stack.enter_context(ask_and_never_read(fresh, key, path))
        # Of the one that began last: who reads nothing for half a minute is cut off.
        headers = {"Authorization": f"Bearer {keys[-1]}", "Accept": "text/csv"}
        async with httpx.AsyncClient(base_url=fresh.url, headers=headers, timeout=300) as client:
            for path in ("/health/ready", "/v1/rides?limit=3", "/v1/rides/4711/readings?limit=3"):
                assert (await client.get(path)).status_code == 200
            refused = await client.get("/v1/rides")
        # Each reads on until all that lies between is full; then it holds nothing.
        while await open_transactions(fresh):
            await asyncio.sleep(0.05)
    assert refused.status_code == 429
    assert refused.json()["type"] == "/problems/too-many-open"
    assert int(refused.headers["retry-after"]) > 0


async def open_transactions(served: Served) -> int:
    """How many the API has in its database."""
    [row] = await served.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE usename = 'api' AND state <> 'idle'"
        " AND datname = current_database()"
    )
    return int(row[0])


async def test_a_place_is_free_again_when_its_reader_has_gone(fresh: Served) -> None:
    await fresh.execute(MANY_READINGS)
    key = await fresh.make_key(KeyScope.READ)
    headers = {"Authorization": f"Bearer {key}", "Accept": "text/csv"}
    for _ in range(3):
        with ExitStack() as stack:
            for _ in range(4):
                stack.enter_context(ask_and_never_read(fresh, key, "/v1/rides/4711/readings"))
        async with httpx.AsyncClient(base_url=fresh.url, headers=headers, timeout=300) as client:
            while (answer := await client.get("/v1/rides")).status_code == 429:
                await asyncio.sleep(0.05)
        assert answer.status_code == 200


class Impatient(BoundedConnection):
    """The same, in a hurry."""

    head_within_s = 2.0
    taken_within_s = 0.3


async def piece_after_piece() -> AsyncIterator[bytes]:
    """A body without an end."""
    while True:
        await asyncio.sleep(0)
        yield b"x" * 100_000


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers at once, or without an end."""
    endless = scope["path"] == "/endless"
    answer = StreamingResponse(piece_after_piece()) if endless else Response("done")
    await answer(scope, receive, send)


@asynccontextmanager
async def listening() -> AsyncIterator[tuple[int, set[Any]]]:
    """A server of such connections: its port, and the connections that it holds."""
    with socket.create_server((LOCALHOST, 0)) as bound:
        config = uvicorn.Config(
            application,
            http=Impatient,
            lifespan="off",
            log_config=None,
            timeout_graceful_shutdown=1,
        )
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve([bound]))
        try:
            yield bound.getsockname()[1], server.server_state.connections
        finally:
            server.should_exit = True
            await serving


async def answer_to(port: int, *pieces: bytes) -> bytes:
    """What comes until the connection ends."""
    reader, writer = await asyncio.open_connection(LOCALHOST, port)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        return await reader.read()
    finally:
        writer.close()


async def test_a_head_that_does_not_end_is_refused_early() -> None:
    async with listening() as (port, _):
        head = b"GET / HTTP/1.1\r\nHost: api\r\nX-Long: "
        late, second, nothing, long = await asyncio.gather(
            answer_to(port, head),
            answer_to(port, b"GET / HTTP/1.1\r\n\r\n", head),
            answer_to(port),
            answer_to(port, head, b"x" * LONGEST_HEAD),
        )
    assert late.startswith(b"HTTP/1.1 408")
    assert b"/problems/head-too-slow" in late
    # The second request of a connection has as long as the first.
    assert second.startswith(b"HTTP/1.1 200")
    assert b"HTTP/1.1 408" in second
    assert nothing == b""
    assert long.startswith(b"HTTP/1.1 431")


async def test_who_takes_nothing_is_cut_off() -> None:
    async with listening() as (port, connections):
        with socket.create_connection((LOCALHOST, port)) as stalled:
            stalled.sendall(b"GET /endless HTTP/1.1\r\nHost: api\r\n\r\n")
            assert await asyncio.to_thread(stalled.recv, 12) == b"HTTP/1.1 200"
            while connections:
                await asyncio.sleep(0.01)
