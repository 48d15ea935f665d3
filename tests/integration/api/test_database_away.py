"""The database gone: told with 503 and Retry-After; back: all goes on by itself."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from api.access.credentials import Scope
from deloton.migrate import migrate
from demo.embedded_postgres import EmbeddedPostgres
from demo.guardian import Guardian
from tests.integration.api.served import Served, serve, store_small_company
from tests.integration.api.test_live import listening
from tests.roles import give_passwords


@pytest.fixture(scope="module")
def own_postgres(guardian: Guardian) -> Iterator[EmbeddedPostgres]:
    """A server that a test may stop, and starts again."""
    with EmbeddedPostgres(guardian) as server:
        yield server


@pytest.fixture(scope="module")
def alone(
    own_postgres: EmbeddedPostgres, guardian: Guardian, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """An API on that server."""
    database_url = own_postgres.create_database("api")
    migrate(database_url)
    give_passwords(database_url)
    asyncio.run(store_small_company(database_url))
    with serve(guardian, database_url, tmp_path_factory.mktemp("alone")) as served:
        yield served


async def test_a_database_that_is_gone_is_a_503_and_the_service_recovers_alone(
    alone: Served, own_postgres: EmbeddedPostgres
) -> None:
    async with await alone.client() as client:
        assert (await client.get("/v1/rides")).status_code == 200
        own_postgres.kill()
        for path in ("/v1/rides", "/v1/rides/4711", "/v1/live", "/health/ready"):
            answer = await client.get(path)
            assert answer.status_code == 503, path
            assert answer.headers["retry-after"] == "5"
            assert answer.json()["type"] == "/problems/database-away"
        assert (await client.get("/health/live")).status_code == 200
        own_postgres.start()
        assert (await client.get("/v1/rides")).status_code == 200
        assert (await client.get("/health/ready")).status_code == 200


async def test_a_restart_between_two_requests_is_not_seen(
    alone: Served, own_postgres: EmbeddedPostgres
) -> None:
    async with await alone.client() as client:
        assert (await client.get("/v1/rides")).status_code == 200
        own_postgres.stop()
        own_postgres.start()
        assert (await client.get("/v1/rides")).status_code == 200


async def test_a_stream_tells_of_the_outage_and_goes_on(
    alone: Served, own_postgres: EmbeddedPostgres
) -> None:
    async with await alone.client() as client, listening(client) as events:
        assert (await anext(events))["event"] == "picture"
        own_postgres.stop()
        event = await anext(events)
        while event["event"] == "changes":
            event = await anext(events)
        assert json.loads(event["data"])["type"] == "/problems/database-away"
        own_postgres.start()
        assert (await anext(events))["event"] == "changes"


async def test_a_statement_that_takes_too_long_is_given_up(
    database_url: str, guardian: Guardian, tmp_path: Path
) -> None:
    await asyncio.to_thread(asyncio.run, store_small_company(database_url))
    with serve(guardian, database_url, tmp_path, STATEMENT_TIMEOUT_S="3") as served:
        async with await served.client(Scope.READ) as client:
            assert (await client.get("/v1/rides")).status_code == 200
            locking = await asyncpg.connect(database_url)
            async with locking.transaction():
                await locking.execute("LOCK TABLE rides")
                answer = await client.get("/v1/rides")
            await locking.close()
    assert answer.status_code == 503
    assert answer.json()["type"] == "/problems/too-slow"
    assert answer.headers["retry-after"]
