"""Deletion, erasure and export: nothing is left, and it is known who did it."""

from datetime import timedelta
from typing import Any

import asyncpg
import httpx

from api.credentials import Scope
from deloton.assembly import Ride, Started
from deloton.testing import FIRMWARE, a_rider
from ingestor.claims import claim_partition
from ingestor.store import store_rides
from tests.integration.api.served import PERSONAL, Served


async def everything(served: Served) -> str:
    """Every row of every table that may tell of a person, as text."""
    tables = ("riders", "rides", "readings", "heart_rate_alerts", "rider_limits", "audit")
    return "\n".join(
        [str(row) for table in tables for row in await served.execute(f"SELECT * FROM {table}")]
    )


async def audited(served: Served) -> list[tuple[Any, ...]]:
    """What the audit tells: action, subject and reason."""
    rows = await served.execute("SELECT action, subject_id, reason FROM audit ORDER BY audit_id")
    return [tuple(row) for row in rows]


async def test_a_deleted_ride_takes_readings_and_alerts_with_it(fresh: Served) -> None:
    async with await fresh.client(Scope.ERASE) as client:
        done = await client.delete("/v1/rides/4711", params={"reason": "asked by phone"})
        again = await client.delete("/v1/rides/4711")
    assert (done.status_code, done.content, again.status_code) == (204, b"", 404)
    assert "ride_id=4711 " not in await everything(fresh)
    assert await fresh.execute("SELECT 1 FROM riders WHERE rider_id = 7001")
    assert await audited(fresh) == [("delete_ride", 4711, "asked by phone")]


async def test_nothing_of_an_erased_rider_is_left(fresh: Served) -> None:
    async with await fresh.client(Scope.ERASE) as client:
        for rider_id in (7001, 7002):
            assert (await client.delete(f"/v1/riders/{rider_id}")).status_code == 204
    left = await everything(fresh)
    assert PERSONAL.findall(left) == []
    assert "ride_id=4711 " not in left
    assert "ride_id=4716 " not in left
    assert [row[0] for row in await audited(fresh)] == ["erase_rider", "erase_rider"]
    assert "ride_id=4714 " in left


async def test_a_replay_of_old_lines_stores_the_ride_without_the_person(fresh: Served) -> None:
    [ride] = await fresh.execute("SELECT * FROM rides WHERE ride_id = 4711")
    async with await fresh.client(Scope.ERASE) as client:
        assert (await client.delete("/v1/riders/7001")).status_code == 204
    pool = await asyncpg.create_pool(fresh.database_url, min_size=1, max_size=2)
    claimed = await claim_partition(pool, "deloton", 0)
    told = Ride.begin(b"SN1", "SN1", ride["started_at"], 7001)
    later = Ride.begin(b"SN1", "SN1", ride["started_at"] + timedelta(days=20_000), 7001)
    await store_rides(pool, claimed.claim, [Started(told, FIRMWARE, a_rider(7001))])
    rows = await fresh.execute("SELECT rider_id FROM rides WHERE started_at = $1", told.started_at)
    assert [row["rider_id"] for row in rows] == [None]
    assert await fresh.execute("SELECT 1 FROM riders WHERE rider_id = 7001") == []
    await store_rides(pool, claimed.claim, [Started(later, FIRMWARE, a_rider(7001))])
    assert len(await fresh.execute("SELECT 1 FROM riders WHERE rider_id = 7001")) == 1
    await pool.close()


async def test_an_export_holds_all_and_is_audited(fresh: Served) -> None:
    async with await fresh.client(Scope.READ, Scope.PERSONAL) as client:
        answer = await client.get("/v1/riders/7001/export", params={"reason": "asked by mail"})
    assert "attachment" in answer.headers["content-disposition"]
    told = answer.json()
    assert told["rider"]["email"] == "ada@secretmail.example"
    assert told["own_limits"]["high_bpm"] == 150
    assert [alert["alert_id"] for alert in told["alerts"]] == [1, 2]
    assert [(ride["ride_id"], len(ride["readings"])) for ride in told["rides"]] == [
        (4711, 100),
        (4712, 100),
    ]
    assert [row["action"] for row in told["audit"]] == ["export_rider"]
    assert await audited(fresh) == [("export_rider", 7001, "asked by mail")]


async def test_an_erasure_waits_for_the_ingestor_and_erases_what_it_has_stored(
    fresh: Served,
) -> None:
    storing = await asyncpg.connect(fresh.database_url)
    transaction = storing.transaction()
    await transaction.start()
    await storing.execute("UPDATE riders SET seen_at = seen_at WHERE rider_id = 7001")
    await storing.execute(
        "INSERT INTO rides (rider_id, bike_serial, started_at) VALUES (7001, 'SN1', now())"
    )
    async with await fresh.client(Scope.ERASE) as client:
        client.timeout = httpx.Timeout(0.5)
        try:
            await client.delete("/v1/riders/7001")
            raise AssertionError("the erasure did not wait")
        except httpx.ReadTimeout:
            await transaction.commit()
        client.timeout = httpx.Timeout(10)
        assert (await client.delete("/v1/riders/7001")).status_code in (204, 404)
    await storing.close()
    assert await fresh.execute("SELECT 1 FROM rides WHERE rider_id = 7001") == []
