"""At 100,000 rides no question of any route reads a whole table of rides or readings."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import Any

import asyncpg
import httpx
import pytest
from pydantic import SecretStr

from api.access.credentials import Scope
from api.app import create_app
from api.contract.answers import View
from api.contract.parameters import LiveParameters
from api.settings import ApiSettings
from api.store.queries import NOTHING_SEEN, live_changes
from demo.embedded_postgres import EmbeddedPostgres
from tests.conftest import unique
from tests.integration.api.served import make_key
from tests.roles import as_role

MANY = """
INSERT INTO bikes SELECT 'SN' || n FROM generate_series(0, 999) n;
INSERT INTO riders (rider_id, gender, born_on, town, seen_at)
SELECT n, (ARRAY['female', 'male'])[n % 2 + 1], date '1950-01-01' + n % 18000, 'Town ' || n % 300,
       '2026-03-02Z'
FROM generate_series(0, 9999) n;
INSERT INTO rides (
    ride_id, rider_id, bike_serial, started_at, ended_at, end_reason, reading_count, duration_s,
    mean_heart_rate_bpm, heart_rate_count, mean_power_watts, max_power_watts, total_power_watts,
    energy_kj
)
SELECT n, n * 7919 % 10000, 'SN' || n % 1000, at, at + interval '500 s', 'silence', 500, 500,
       120, 400, n * 31 % 300, n * 17 % 1400, n * 13 % 90000, n * 13 % 90
FROM generate_series(1, 100000) n
CROSS JOIN LATERAL (SELECT timestamptz '2026-01-01Z' + n * interval '1 min' AS at) began;
INSERT INTO rides (ride_id, rider_id, bike_serial, started_at)
SELECT 200000 + n, n, 'SN' || n, '2026-03-12Z' FROM generate_series(0, 19) n;
DO $$ BEGIN
    FOR day IN 0..6 LOOP
        EXECUTE format(
            'CREATE TABLE readings_2026030%s PARTITION OF readings FOR VALUES FROM (%L) TO (%L)',
            day + 1, timestamptz '2026-03-01Z' + day * interval '1 day',
            timestamptz '2026-03-02Z' + day * interval '1 day'
        );
    END LOOP;
END $$;
INSERT INTO readings
SELECT ride_id, started_at + s * interval '1 s', s, 120, 60, 30, 100
FROM rides, generate_series(1, 500, 10) s WHERE ride_id BETWEEN 84961 AND 95000;
INSERT INTO heart_rate_alerts (
    ride_id, rider_id, level, measured_at, heart_rate_bpm, limit_bpm, limit_rule, state
)
SELECT ride_id, rider_id, 'high', started_at, 170, 150, 'rule', 'pending' FROM rides
WHERE ride_id % 20 = 0;
"""

DAY = "date=2026-03-03"
SPAN = "from=2026-02-01T00:00:00Z&to=2026-03-10T00:00:00Z"
ASKED = [
    "/v1/rides",
    *(
        f"/v1/rides?sort={sign}{column}"
        for sign in ("", "-")
        for column in ("started_at", "max_power_watts", "mean_power_watts", "energy_kj")
    ),
    *(f"/v1/rides?{DAY}&sort={sort}" for sort in ("-started_at", "-energy_kj")),
    f"/v1/rides?{SPAN}",
    f"/v1/rides?{SPAN}&sort=-energy_kj",
    "/v1/rides?limit=500",
    "/v1/rides?rider_id=77",
    "/v1/rides?rider_id=77&sort=-energy_kj",
    "/v1/rides?bike=SN77",
    "/v1/rides?bike=nobody",
    "/v1/rides?gender=female",
    "/v1/rides?gender=other",
    "/v1/rides?gender=unknown",
    "/v1/rides?min_age=30&max_age=31",
    "/v1/rides?max_age=5",
    "/v1/rides?city=town%2077",
    "/v1/rides?city=nowhere",
    "/v1/rides?city=nowhere&sort=-energy_kj",
    "/v1/rides?gender=unknown&city=nowhere",
    "/v1/rides?status=live",
    "/v1/rides?status=ended",
    "/v1/rides?status=live&rider_id=3",
    "/v1/rides/90000",
    *(f"/v1/rides/90000.{ending}" for ending in ("fit", "tcx", "csv")),
    "/v1/rides/90000/readings",
    "/v1/rides/90000/readings?resolution_s=60",
    "/v1/rides/90000/series",
    "/v1/rides/90000/series?resolution=1min&columns=power_watts",
    "/v1/riders?limit=500",
    *(
        f"/v1/riders?{asked}"
        for asked in ("gender=female", "min_age=30&max_age=31", "town=town+77")
    ),
    "/v1/riders?town=nowhere",
    "/v1/bikes",
    "/v1/bikes?bike=SN77",
    "/v1/bikes?firmware=nothing",
    "/v1/riders/77",
    "/v1/riders/77/rides",
    "/v1/riders/77/rides?sort=-max_power_watts",
    "/v1/riders/77/best-powers?to=2026-03-08T00:00:00Z",
    "/v1/riders/77/export",
    f"/v1/daily?{DAY}",
    *(f"/v1/leaderboard?{DAY}&period={period}" for period in ("day", "week", "month", "all")),
    "/v1/leaderboard?period=all&metric=energy_kj&limit=100",
    "/v1/live",
    "/v1/live?limit=1",
    "/v1/live?bike=SN77",
    "/v1/live?alerted=true",
    "/v1/changes",
    "/v1/webhooks",
    "/v1/alerts",
    f"/v1/alerts?{DAY}",
    "/v1/alerts?rider_id=77",
    "/v1/changes",
    "/v1/changes?after=0",
]


@pytest.fixture(scope="module")
def full_database(postgres: EmbeddedPostgres, migrated_template: str) -> Iterator[str]:
    """A hundred thousand rides, half a million readings."""
    name = unique("plans")
    url = postgres.create_database(name, template=migrated_template)

    async def fill() -> None:
        connection = await asyncpg.connect(url, command_timeout=300)
        await connection.execute(MANY)
        await connection.execute("ANALYZE")
        await connection.close()

    asyncio.run(fill())
    yield url
    postgres.drop_database(name)


class Asker:
    """The application in this process, and every statement that it has sent."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client
        self.statements: list[tuple[str, tuple[Any, ...]]] = []

    def note(self, query: asyncpg.connection.LoggedQuery) -> None:
        """What asyncpg tells of a statement."""
        self.statements.append((query.query, tuple(query.args)))


@pytest.fixture
async def asker(full_database: str) -> AsyncIterator[Asker]:
    """The application, with a key that may do all."""
    url = SecretStr(as_role(full_database, "api"))
    app = create_app(ApiSettings(database_url=url, api_database_connections=1))
    key = await make_key(full_database, *Scope)
    transport = httpx.ASGITransport(app)
    headers = {"Authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(
        transport=transport, base_url="http://api", headers=headers
    ) as client:
        asker = Asker(client)
        assert (await client.get("/health/ready")).status_code == 200
        async with app.state.context.database._pool.acquire() as only_connection:
            only_connection.add_query_logger(asker.note)
        yield asker
    await app.state.context.database.close()


async def whole_tables_read(url: str, statements: list[tuple[str, tuple[Any, ...]]]) -> list[str]:
    """The statements whose plans read a whole table of rides or readings, with their plans."""
    connection = await asyncpg.connect(as_role(url, "api"), server_settings={"jit": "off"})
    found = []
    for statement, values in statements:
        if statement.split()[0] in {"SELECT", "WITH", "DELETE"}:
            [row] = await connection.fetch(f"EXPLAIN (FORMAT JSON) {statement}", *values)
            if any(reads_whole_table(node) for node in nodes_of(json.loads(row[0])[0]["Plan"])):
                found.append(f"{statement}\n{values}\n{row[0]}")
    await connection.close()
    return found


def nodes_of(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A plan's node and all below it."""
    yield plan
    for below in plan.get("Plans", []):
        yield from nodes_of(below)


def reads_whole_table(node: dict[str, Any]) -> bool:
    """Whether a node scans rides or readings from end to end; the empty default partition may."""
    name = node.get("Relation Name", "")
    return bool(node["Node Type"] == "Seq Scan") and (
        name == "rides" or (name.startswith("readings") and name != "readings_default")
    )


@pytest.mark.parametrize("address", ASKED)
async def test_no_question_reads_a_whole_table(
    asker: Asker, full_database: str, address: str
) -> None:
    answer = await asker.client.get(address)
    assert answer.status_code == 200, answer.text
    is_json = answer.headers["content-type"] == "application/json"
    if is_json and (following := answer.json().get("next")):
        assert (await asker.client.get(following)).status_code == 200
    assert len(asker.statements) > 1
    assert await whole_tables_read(full_database, asker.statements) == []


@pytest.mark.parametrize("path", ["/v1/rides/85000", "/v1/riders/78"])
async def test_no_deletion_reads_a_whole_table(asker: Asker, full_database: str, path: str) -> None:
    assert (await asker.client.delete(path)).status_code == 204
    assert await whole_tables_read(full_database, asker.statements) == []


@pytest.mark.parametrize("asked", [{}, {"bike": "SN77"}, {"alerted": True}])
async def test_following_the_live_rides_reads_no_whole_table(
    full_database: str, asked: dict[str, Any]
) -> None:
    now = datetime.now(UTC)
    view = View(personal=False, today=now.date())
    changes = live_changes(LiveParameters(**asked), view, now, NOTHING_SEEN)
    found = await whole_tables_read(full_database, [(changes.statement.sql, tuple(changes.values))])
    assert found == []


async def test_every_route_that_reads_is_asked(asker: Asker) -> None:
    document = (await asker.client.get("/openapi.json")).json()
    asked = {address.split("?")[0].replace("90000", "{}").replace("77", "{}") for address in ASKED}
    routes = {
        path.replace("{ride_id}", "{}").replace("{rider_id}", "{}")
        for path, operations in document["paths"].items()
        if "get" in operations and path.startswith("/v1/")
    }
    # Nobody's export or webhook: these look up a row by its number.
    of_numbers = {"/v1/exports/{export_id}", "/v1/webhooks/{webhook_id}"}
    of_numbers |= {"/v1/webhooks/{webhook_id}/deliveries"}
    assert routes - asked == {"/v1/live/stream", *of_numbers}
