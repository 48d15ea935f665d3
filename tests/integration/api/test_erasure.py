"""Deletion, erasure and export: nothing is left, and it is known who did it."""

from datetime import timedelta
from typing import Any

import asyncpg
import httpx

from api.access.credentials import Scope
from api.contract.problems import KAFKA_KEEPS
from deloton.feed.assembly import Ride, Started
from deloton.store.tables import metadata
from deloton.testing import FIRMWARE, a_rider
from ingestor.claims import claim_partition
from ingestor.store import store_rides
from tests.integration.api.served import PERSONAL, Served

# What is held about a person. A table that is added belongs into the export too.
PERSONAL_TABLES = (
    "danger_acknowledgements",
    "heart_rate_alerts",
    "heart_rate_recoveries",
    "readings",
    "refused_addresses",
    "ride_hearts",
    "ride_series",
    "rider_limits",
    "riders",
    "rides",
    "rides_to_pack",
)
# What an erasure leaves: numbers without a person, and where a stream is.
_OF_NOBODY = {
    "audit",
    "changes",
    "deleted_rides",
    "erasures",
    "exports",
    "ingest_streams",
    "webhook_deliveries",
}


def test_each_table_that_may_tell_of_a_person_is_known() -> None:
    telling = {
        name
        for name, table in metadata.tables.items()
        if {"rider_id", "ride_id", "alert_id", "subject_id"} & {column.name for column in table.c}
    }
    stars = {name for name in telling if name.startswith("star_")}
    assert telling - stars - _OF_NOBODY == set(PERSONAL_TABLES)


async def everything(served: Served) -> str:
    """Every row of every table that may tell of a person, as text."""
    tables = (*PERSONAL_TABLES, "audit")
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


async def test_who_erases_an_erased_rider_again_is_told_what_remains_and_until_when(
    fresh: Served,
) -> None:
    async with await fresh.client(Scope.ERASE) as client:
        done, again, nobody = [
            await client.delete(f"/v1/riders/{rider_id}") for rider_id in (7001, 7001, 999)
        ]
    assert [answer.status_code for answer in (done, again, nobody)] == [204, 404, 404]
    [[erased_at]] = await fresh.execute("SELECT erased_at FROM erasures WHERE rider_id = 7001")
    assert f"{erased_at + KAFKA_KEEPS:%Y-%m-%d} Kafka may hold lines" in again.json()["detail"]
    assert nobody.json()["detail"] == "There is no rider 999."


async def test_a_replay_of_old_lines_stores_no_ride_again_and_unknown_ones_without_the_person(
    fresh: Served,
) -> None:
    [ride] = await fresh.execute("SELECT * FROM rides WHERE ride_id = 4711")
    async with await fresh.client(Scope.ERASE) as client:
        assert (await client.delete("/v1/riders/7001")).status_code == 204
    pool = await asyncpg.create_pool(fresh.database_url, min_size=1, max_size=2)
    claimed = await claim_partition(pool, "deloton", 0)
    bike, started_at = ride["bike_serial"], ride["started_at"]
    deleted = Ride.begin(b"SN1", bike, started_at, 7001)
    told = Ride.begin(b"SN1", "SN1", started_at - timedelta(hours=1), 7001)
    later = Ride.begin(b"SN1", "SN1", ride["started_at"] + timedelta(days=20_000), 7001)
    for start in (deleted, told):
        await store_rides(pool, claimed.claim, [Started(start, FIRMWARE, a_rider(7001))])
    again = "SELECT 1 FROM rides WHERE bike_serial = $1 AND started_at = $2"
    assert await fresh.execute(again, bike, started_at) == []
    rows = await fresh.execute("SELECT rider_id FROM rides WHERE started_at = $1", told.started_at)
    assert [row["rider_id"] for row in rows] == [None]
    assert await fresh.execute("SELECT 1 FROM riders WHERE rider_id = 7001") == []
    await store_rides(pool, claimed.claim, [Started(later, FIRMWARE, a_rider(7001))])
    assert len(await fresh.execute("SELECT 1 FROM riders WHERE rider_id = 7001")) == 1
    await pool.close()


async def test_an_export_holds_all_and_is_audited(fresh: Served) -> None:
    await fresh.execute(
        "INSERT INTO refused_addresses (rider_id, digest, because) VALUES (7001, 'x', 'bounced')"
    )
    await fresh.execute("INSERT INTO ride_hearts (ride_id, held_bpm) VALUES (4711, 165)")
    await fresh.execute(
        "INSERT INTO danger_acknowledgements (alert_id, staff_name, note) VALUES (1, 'Zoe', 'rang')"
    )
    async with await fresh.client(Scope.READ, Scope.PERSONAL) as client:
        answer = await client.get("/v1/riders/7001/export", params={"reason": "asked by mail"})
    assert "attachment" in answer.headers["content-disposition"]
    told = answer.json()
    assert told["rider"]["email"] == "ada@secretmail.example"
    assert told["own_limits"]["high_bpm"] == 150
    assert [refused["because"] for refused in told["refused_addresses"]] == ["bounced"]
    assert [alert["alert_id"] for alert in told["alerts"]] == [1, 2]
    assert [(row["alert_id"], row["state"]) for row in told["recoveries"]] == [(1, "sent")]
    assert [(row["alert_id"], row["note"]) for row in told["staff_notes"]] == [(1, "rang")]
    assert "Zoe" not in answer.text
    assert [(ride["ride_id"], len(ride["readings"])) for ride in told["rides"]] == [
        (4711, 100),
        (4712, 100),
    ]
    assert [ride["held_bpm"] for ride in told["rides"]] == [165, None]
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
