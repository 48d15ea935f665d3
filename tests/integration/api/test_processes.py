"""Several processes of the API on one port: they share the limits of keys, and end together."""

import asyncio
from datetime import timedelta
from pathlib import Path

import asyncpg
import httpx
import psutil
import pytest
from sqlalchemy import select, text

from api.access.credentials import Scope
from api.access.key_requests import MINUTE, KeyRequests
from api.store.database import Database
from api.store.statements import question
from deloton.store.tables import key_requests
from deloton.testing import START_AT
from demo.guardian import Guardian
from tests.integration.api.served import Served, serve, store_small_company


def workers_of(served: Served) -> set[int]:
    """The processes that hold the port: the first one's children, but for what helps them."""
    children = psutil.Process(served.program.pid).children()
    return {each.pid for each in children if "spawn_main" in " ".join(each.cmdline())}


async def test_processes_share_the_port_and_end_together(
    database_url: str, guardian: Guardian, tmp_path: Path
) -> None:
    await asyncio.to_thread(asyncio.run, store_small_company(database_url))
    with serve(guardian, database_url, tmp_path, API_PROCESSES="2") as served:
        workers = workers_of(served)
        assert len(workers) == 2
        async with await served.client() as client, client.stream("GET", "/v1/live/stream"):
            served.program.stop()
    assert not any(psutil.pid_exists(pid) for pid in workers)


async def test_what_other_processes_grant_a_key_counts_here(fresh: Served) -> None:
    key = await fresh.make_key(Scope.READ, requests_per_minute=1_000)
    headers = {"Authorization": f"Bearer {key}"}
    asked = 0
    async with httpx.AsyncClient(base_url=fresh.url, headers=headers, timeout=300) as client:
        while (await client.get("/v1/rides?limit=1")).status_code == 200:
            asked += 1
            # As another process does that has granted as much.
            await fresh.execute("UPDATE key_requests SET asked = asked + 1000")
    assert asked < 1_000


async def test_what_other_processes_granted_in_the_minute_before_slides_out_of_it(
    fresh: Served,
) -> None:
    last_minute = "SELECT date_trunc('minute', now()) - interval '1 min' AS at"
    # So many that until the minute's end enough of them count.
    granted = "INSERT INTO key_requests VALUES ($1, $2, 1000000000)"
    statuses, began, ended = [], 0, 1
    while began != ended:
        key = await fresh.make_key(Scope.READ, requests_per_minute=60)
        headers = {"Authorization": f"Bearer {key}"}
        [[began]] = await fresh.execute(last_minute)
        await fresh.execute(granted, key.split("_")[1], began)
        async with httpx.AsyncClient(base_url=fresh.url, headers=headers, timeout=300) as client:
            asking = [client.get("/v1/rides?limit=1") for _ in range(20)]
            statuses = [answer.status_code for answer in await asyncio.gather(*asking)]
        [[ended]] = await fresh.execute(last_minute)
    assert statuses == [429] * 20


async def test_processes_tell_one_another_what_they_have_granted(database_url: str) -> None:
    database = Database(database_url, connections=1, statement_timeout_s=300)
    one, other = KeyRequests(database), KeyRequests(database)
    keys, this, following = ["key", "else"], START_AT, START_AT + MINUTE
    await one.tell({("key", this): 6})
    assert await one.hear(keys, this) == {}
    assert await other.hear(keys, this) == {("key", this): 6}
    await other.tell({("key", this): 1, ("else", this): 2, ("key", following): 4})
    assert await other.hear(keys, this) == {}
    late = following + timedelta(seconds=59)
    assert await one.hear(["key"], late) == {("key", this): 1, ("key", following): 4}
    assert await one.hear(keys, late) == {("else", this): 2}
    assert await KeyRequests(database).hear(keys, following + MINUTE) == {("key", following): 4}
    await one.forget(following + timedelta(minutes=5))
    left = await database.rows(question(select(key_requests)))
    await database.close()
    assert [(row["key_id"], row["asked"]) for row in left] == [("key", 4)]


async def test_what_could_not_be_told_is_told_again_once(database_url: str) -> None:
    database = Database(database_url, connections=1, statement_timeout_s=300)
    one, other = KeyRequests(database), KeyRequests(database)
    await database.rows(question(text("ALTER TABLE key_requests RENAME TO gone")))
    with pytest.raises(asyncpg.UndefinedTableError):
        await one.tell({("key", START_AT): 6})
    await database.rows(question(text("ALTER TABLE gone RENAME TO key_requests")))
    await other.tell({("key", START_AT): 1})
    assert await one.hear(["key"], START_AT) == {("key", START_AT): 1}
    await one.tell({("key", START_AT): 6})
    assert await one.hear(["key"], START_AT) == {}
    assert await other.hear(["key"], START_AT) == {("key", START_AT): 6}
    await database.close()


@pytest.mark.parametrize(
    ("hurt", "mended"),
    [
        (
            "REVOKE INSERT ON key_requests FROM api",
            "GRANT INSERT ON key_requests TO api",
        ),
        (
            "ALTER TABLE key_requests RENAME TO not_restored",
            "ALTER TABLE not_restored RENAME TO key_requests",
        ),
    ],
)
async def test_limits_that_cannot_be_shared_end_no_process(
    database_url: str, guardian: Guardian, tmp_path: Path, hurt: str, mended: str
) -> None:
    await store_small_company(database_url)
    with serve(guardian, database_url, tmp_path) as served:
        await served.execute(hurt)
        async with await served.client() as client:
            await until_told(client, "api_limits_shared 0.0")
            await served.execute(mended)
            await until_told(client, "api_limits_shared 1.0")
        assert served.program.running
    log = (tmp_path / "api.log").read_text()
    assert log.count("each process counts for itself") == 1
    assert log.count("limits of keys are shared again") == 1


async def test_a_use_that_cannot_be_noted_holds_up_nobody(
    database_url: str, guardian: Guardian, tmp_path: Path
) -> None:
    await store_small_company(database_url)
    with serve(guardian, database_url, tmp_path) as served:
        await served.execute("REVOKE UPDATE ON api_keys FROM api")
        async with await served.client() as client:
            assert (await client.get("/v1/rides")).status_code == 200


async def until_told(client: httpx.AsyncClient, metric: str) -> None:
    """Ask with a key until the metrics tell this."""
    while metric not in (await client.get("/metrics")).text:
        assert (await client.get("/v1/rides?limit=1")).status_code == 200
        await asyncio.sleep(0.1)
