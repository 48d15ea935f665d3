"""A sandbox key sees simulated riders and nobody else, whatever it asks; no other key sees them."""

import gzip
import json
import re
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from api.access.credentials import Scope
from api.app import create_app
from api.contract.problems import Problem
from api.document import openapi_document
from api.person import places_of
from api.settings import ApiSettings
from bike_simulator import FleetPlan, riders, simulate
from deloton.rules.canary import CANARY_BIKE, FIRST_CANARY_RIDER_ID
from deloton.rules.sandbox import FIRST_SANDBOX_RIDER_ID, SANDBOX_BIKES
from deloton.testing import START_AT
from demo.guardian import Guardian
from tests.integration.api.served import Served, serve, store_small_company
from tests.integration.api.test_exports import until
from tests.roles import as_role

RIDER_ID = FIRST_SANDBOX_RIDER_ID + 7
STORED = f"""
INSERT INTO bikes VALUES ('SANDBOX0001');
INSERT INTO riders (rider_id, first_name, last_name, gender, born_on, weight_kg, town, seen_at)
VALUES ({RIDER_ID}, 'Sim', 'Ulated', 'other', '1980-01-01', 70, 'Sandtown', '2026-03-02Z');
INSERT INTO rides (ride_id, rider_id, bike_serial, started_at) VALUES
    (9001, {RIDER_ID}, 'SANDBOX0001', '2026-03-02 09:00Z'),
    (9002, {RIDER_ID}, 'SANDBOX0001', now() - interval '1 minute');
INSERT INTO readings
SELECT ride_id, started_at + second * interval '1 s', second, 120, 60, 30, 7777
FROM rides, generate_series(1, 30) AS second WHERE ride_id > 9000;
UPDATE rides SET ended_at = started_at + interval '30 s', end_reason = 'silence',
    reading_count = 30, duration_s = 30, max_power_watts = 7777, mean_power_watts = 7777,
    energy_kj = 200 WHERE ride_id = 9001;
INSERT INTO heart_rate_alerts (
    alert_id, ride_id, rider_id, level, measured_at, heart_rate_bpm, limit_bpm, limit_rule, state
) VALUES (9, 9001, {RIDER_ID}, 'high', '2026-03-02 09:01Z', 149, 145.6, '90%', 'pending');
"""
DOCUMENT: dict[str, Any] = json.loads(openapi_document())
READ = [
    path
    for path, operations in DOCUMENT["paths"].items()
    if "get" in operations and operations["get"]["security"] and "stream" not in path
]
# A parameter that is added to an address has to be known here.
SIMULATED = {"ride_id": "9001", "rider_id": str(RIDER_ID), "webhook_id": "1", "export_id": "1"}
REAL = {"ride_id": "4711", "rider_id": "7001", "webhook_id": "1", "export_id": "1"}
ASKED = {
    "/v1/daily": "?date=2026-03-02",
    "/v1/leaderboard": "?period=all",
    "/v1/changes": "?after=0",
    "/v1/riders/{rider_id}/best-powers": "?from_at=2026-03-01T00:00:00Z&to_at=2026-03-09T00:00:00Z",
}
OF_REAL = re.compile(r"47(1[1-6])\b|\b700[123]\b|SN[12]\b|Secretname|Exampleton|Otherton")
OF_SIMULATED = re.compile(rf"{SANDBOX_BIKES}|{FIRST_SANDBOX_RIDER_ID // 10**9}|\b900[12]\b|7777")


@asynccontextmanager
async def client_of(served: Served, *, sandbox: bool) -> AsyncIterator[httpx.AsyncClient]:
    await served.execute(STORED)
    key = await served.make_key(Scope.READ, Scope.PERSONAL, Scope.WEBHOOKS, sandbox=sandbox)
    headers = {"Authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(base_url=served.url, headers=headers, timeout=60) as client:
        yield client


async def test_no_address_tells_a_sandbox_key_of_anybody_real(fresh: Served) -> None:
    async with client_of(fresh, sandbox=True) as client:
        for path in READ:
            address = path.format(**REAL) + ASKED.get(path, "")
            answer = await client.get(address)
            assert (answer.status_code == 200) == ("{" not in path), address
            if answer.status_code == 200:
                found = OF_REAL.findall(answer.text.replace(answer.json().get("next") or "", ""))
                assert not found, (address, answer.text)


async def test_what_is_simulated_answers_a_sandbox_key_as_the_real_does_others(
    fresh: Served,
) -> None:
    async with client_of(fresh, sandbox=True) as client:
        for path in READ:
            if "webhook" not in path and "export_id" not in path:
                address = path.format(**SIMULATED) + ASKED.get(path, "")
                answer = await client.get(address)
                assert answer.status_code == 200, (address, answer.text)
        rides = (await client.get("/v1/rides")).json()["rides"]
        assert {ride["ride_id"] for ride in rides} == {9001, 9002}
        for path in ("/v1/riders", "/v1/bikes", "/v1/live", "/v1/alerts", "/v1/leaderboard"):
            asked = path + ASKED.get(path, "")
            assert OF_SIMULATED.search((await client.get(asked)).text), path
        assert (await client.get("/v1/daily?date=2026-03-02")).json()["ride_count"] == 1
        kinds = [
            each["kind"] for each in (await client.get("/v1/changes?after=0")).json()["changes"]
        ]
        assert kinds == ["rider.changed", "ride.ended"]
        async with client.stream("GET", "/v1/live/stream") as stream:
            async for line in stream.aiter_lines():
                if line.startswith("data:"):
                    assert OF_SIMULATED.search(line)
                    assert not OF_REAL.search(line.partition('"rides"')[2])
                    break


async def test_no_list_or_figure_tells_other_keys_of_the_simulated(fresh: Served) -> None:
    async with client_of(fresh, sandbox=False) as client:
        for path in READ:
            if "{" not in path:
                answer = await client.get(path + ASKED.get(path, ""))
                assert answer.status_code == 200, path
                assert not OF_SIMULATED.search(answer.text), (path, answer.text)
        for path in ("/v1/rides/9001", "/v1/rides/9001/readings"):
            assert (await client.get(path)).status_code == 404


async def test_a_sandbox_key_makes_webhooks_and_erases_nobody(fresh: Served) -> None:
    async with client_of(fresh, sandbox=True) as client:
        made = await client.post("/v1/webhooks", json={"url": "https://partner.example.com/"})
        assert made.status_code == 201, made.text
        address = f"/v1/webhooks/{made.json()['webhook_id']}"
        for path in (f"{address}/rotate", f"{address}/on"):
            assert (await client.post(path)).status_code == 200
        assert (await client.get(f"{address}/deliveries")).json()["deliveries"] == []
        assert (await client.delete(f"/v1/riders/{RIDER_ID}")).status_code == 403
        assert (await client.delete(address)).status_code == 204


async def test_a_sandbox_key_has_exports_of_the_simulated_and_of_nobody_else(
    database_url: str, guardian: Guardian, tmp_path: Path
) -> None:
    await store_small_company(database_url)
    folder = (tmp_path / "exports").as_uri()
    with serve(guardian, database_url, tmp_path, EXPORT_STORE=folder) as served:
        async with client_of(served, sandbox=True) as client:
            assert (await client.post("/v1/riders/7001/exports")).status_code == 404
            begun = await client.post(f"/v1/riders/{RIDER_ID}/exports")
            assert begun.status_code == 202, begun.text
            ready = await until(client, begun.headers["location"], "ready")
            made = json.loads(gzip.decompress((await client.get(ready["url"])).content))
        async with await served.client(Scope.READ, Scope.PERSONAL) as client:
            assert (await client.post(f"/v1/riders/{RIDER_ID}/exports")).status_code == 404
    assert made["rider"]["town"] == "Sandtown"
    assert [ride["ride_id"] for ride in made["rides"]] == [9001, 9002]
    assert len(made["rides"][0]["readings"]) == 30


async def test_the_sandboxs_role_reads_what_the_api_reads_and_writes_nothing_of_rides(
    database_url: str,
) -> None:
    connection = await asyncpg.connect(as_role(database_url, "api"))
    readable = (
        "SELECT DISTINCT table_name FROM information_schema.column_privileges "
        "WHERE table_schema = 'public' AND privilege_type = 'SELECT' AND grantee = $1"
    )
    await connection.execute("SET ROLE api_sandbox")
    own, the_apis = [
        {row["table_name"] for row in await connection.fetch(readable, role)}
        for role in ("api_sandbox", "api")
    ]
    for statement in (
        "DELETE FROM rides",
        "DELETE FROM riders",
        "UPDATE rides SET rider_id = 1",
        "INSERT INTO erasures VALUES (1, now())",
        "UPDATE api_keys SET scopes = '{erase}'",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)
    await connection.close()
    owner = await asyncpg.connect(database_url)
    the_apis |= {row["table_name"] for row in await owner.fetch(readable, "api")}
    own |= {row["table_name"] for row in await owner.fetch(readable, "api_sandbox")}
    await owner.close()
    assert own == the_apis


# Of services of the version before, which stored what a bike told of whomever.
MIXED = f"""
INSERT INTO bikes VALUES ('SANDBOX0777'), ('{CANARY_BIKE}');
INSERT INTO riders (rider_id, first_name, gender, seen_at)
VALUES ({FIRST_CANARY_RIDER_ID}, 'Canary', 'other', now());
INSERT INTO rides (ride_id, rider_id, bike_serial, started_at) VALUES
    (8881, 7001, 'SANDBOX0777', now() - interval '1 minute'),
    (8882, 7001, '{CANARY_BIKE}', now() - interval '1 minute'),
    (8883, {RIDER_ID}, 'SN1', now() - interval '1 minute'),
    (8884, {FIRST_CANARY_RIDER_ID}, 'SN2', now() - interval '1 minute'),
    (8885, {FIRST_CANARY_RIDER_ID}, 'SANDBOX0777', now() - interval '2 minutes');
INSERT INTO readings
SELECT ride_id, started_at + second * interval '1 s', second, 120, 60, 30, 100
FROM rides, generate_series(1, 5) AS second WHERE ride_id BETWEEN 8881 AND 8885;
"""


@pytest.mark.parametrize("sandbox", [True, False])
async def test_a_ride_of_a_rider_on_anothers_bike_is_shown_to_nobody(
    fresh: Served, sandbox: bool
) -> None:
    async with client_of(fresh, sandbox=sandbox) as client:
        await fresh.execute(MIXED)
        for path in ("/v1/rides", "/v1/live", "/v1/rides?bike=SN1", "/v1/rides?bike=SANDBOX0777"):
            answer = await client.get(path)
            assert answer.status_code == 200
            assert not re.search(r'"ride_id":888', answer.text), (path, answer.text)
        for ride_id in range(8881, 8886):
            for path in (f"/v1/rides/{ride_id}", f"/v1/rides/{ride_id}/readings"):
                assert (await client.get(path)).status_code == 404, path


async def test_who_is_erased_leaves_no_ride_on_anybodys_bike(fresh: Served) -> None:
    await fresh.execute(STORED + MIXED)
    before = await places_of(as_role(fresh.database_url, "api"), 7001)
    [held] = await fresh.execute("SELECT count(*) FROM rides WHERE rider_id = 7001")
    async with await fresh.client(Scope.ERASE) as client:
        answer = await client.delete("/v1/riders/7001")
        assert answer.status_code == 204, answer.text
    assert held["count"] > 2
    assert {place.name: place.rows for place in before}["rides"] == held["count"]
    assert not await fresh.execute("SELECT FROM rides WHERE rider_id = 7001")
    assert not await fresh.execute("SELECT FROM readings WHERE ride_id IN (8881, 8882)")
    after = await places_of(as_role(fresh.database_url, "api"), 7001)
    assert {place.name: place.rows for place in after}["rides"] == 0


@pytest.mark.parametrize("rider_id", [RIDER_ID, FIRST_CANARY_RIDER_ID])
async def test_who_is_not_real_is_nobody_to_other_keys(fresh: Served, rider_id: int) -> None:
    await fresh.execute(STORED + MIXED)
    address = f"/v1/riders/{rider_id}"
    async with await fresh.client(Scope.READ, Scope.PERSONAL, Scope.ERASE) as client:
        for path in ("", "/rides", "/best-powers", "/export"):
            answer = await client.get(address + path)
            assert answer.status_code == 404, (path, answer.text)
        answer = await client.delete(address)
        assert answer.status_code == 404, answer.text
    assert await fresh.execute(f"SELECT FROM riders WHERE rider_id = {rider_id}")
    assert not await fresh.execute(f"SELECT FROM erasures WHERE rider_id = {rider_id}")


def test_the_simulated_fleet_bears_the_marks() -> None:
    plan = FleetPlan(start_at=START_AT, bikes=2, sandbox=True, back_to_back=True)
    lines = list(islice(simulate(plan), 2_000))
    keys = {key.decode() for key, _, _ in lines}
    told = [value.decode() for _, value, _ in lines if b"user_id" in value]
    numbers = [int(number) for text in told for number in re.findall(r"user_id\W+(\d+)", text)]
    assert keys == {"SANDBOX0000", "SANDBOX0001"}
    assert numbers
    assert all(FIRST_SANDBOX_RIDER_ID <= number < FIRST_CANARY_RIDER_ID for number in numbers)
    assert all("@simulator.amazonses.com" in text for text in told)


def test_migration_rules_and_simulator_mean_the_same_marks() -> None:
    migration = import_module("deloton.store.migrations.versions.0027_sandbox")
    apart = import_module("deloton.store.migrations.versions.0045_worlds_apart")
    assert apart.FIRST_SANDBOX_RIDER_ID == FIRST_SANDBOX_RIDER_ID
    assert apart.FIRST_CANARY_RIDER_ID == FIRST_CANARY_RIDER_ID
    for marks in (migration, riders):
        assert marks.SANDBOX_BIKES == SANDBOX_BIKES
        assert marks.FIRST_SANDBOX_RIDER_ID == FIRST_SANDBOX_RIDER_ID
    assert (migration.CANARY_BIKE, migration.FIRST_CANARY_RIDER_ID) == (
        CANARY_BIKE,
        FIRST_CANARY_RIDER_ID,
    )


async def test_sandbox_keys_take_no_place_of_what_lasts_from_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody.invalid/none")
    app = create_app(ApiSettings.from_environment())
    sandbox, real = app.state.sandbox.lanes, app.state.context.lanes
    with ExitStack() as places:
        for number in range(8):
            places.enter_context(sandbox.downloads.place_for(f"sandbox {number // 4}"))
        with pytest.raises(Problem, match="Too many downloads"):
            places.enter_context(sandbox.downloads.place_for("sandbox 2"))
        places.enter_context(real.downloads.place_for("partner"))
