"""Several processes of the API on one port: they divide the limits of keys, and end together."""

import asyncio
from pathlib import Path

import httpx
import psutil

from api.access.credentials import Scope
from demo.guardian import Guardian
from tests.integration.api.served import Served, serve, store_small_company


def workers_of(served: Served) -> set[int]:
    """The processes that hold the port: the first one's children, but for what helps them."""
    children = psutil.Process(served.program.pid).children()
    return {each.pid for each in children if "spawn_main" in " ".join(each.cmdline())}


async def test_processes_share_the_port_and_divide_the_limits(
    database_url: str, guardian: Guardian, tmp_path: Path
) -> None:
    await asyncio.to_thread(asyncio.run, store_small_company(database_url))
    with serve(guardian, database_url, tmp_path, API_PROCESSES="2") as served:
        workers = workers_of(served)
        assert len(workers) == 2
        key = await served.make_key(Scope.READ, requests_per_minute=7)
        headers = {"Authorization": f"Bearer {key}"}
        async with httpx.AsyncClient(base_url=served.url, headers=headers) as one:
            granted = 0
            while (answer := await one.get("/v1/rides?limit=1")).status_code == 200:
                granted += 1
        # One connection stays with one process, which grants half, rounded up; a minute slides.
        assert granted in {4, 5}
        assert answer.status_code == 429
        assert answer.headers["ratelimit-limit"] == "4"
        async with await served.client() as client, client.stream("GET", "/v1/live/stream"):
            served.program.stop()
    assert not any(psutil.pid_exists(pid) for pid in workers)
