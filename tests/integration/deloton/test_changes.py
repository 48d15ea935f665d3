"""What becomes of rides and riders is noted by whoever does it, and numbered without a gap."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from importlib import import_module
from itertools import chain

import asyncpg
import pytest_asyncio

from deloton.rules.canary import CANARY_BIKE, FIRST_CANARY_RIDER_ID
from deloton.rules.changes import ChangeKind
from tests.roles import as_role

RIDE = (
    "INSERT INTO rides (bike_serial, started_at) VALUES ($1, '2026-03-02Z'::timestamptz + $2) "
    "RETURNING ride_id"
)
END = "UPDATE rides SET ended_at = started_at, end_reason = 'silence' WHERE ride_id = $1"
NUMBERED = (
    "SELECT change_id, kind, coalesce(ride_id, rider_id) FROM changes "
    "WHERE change_id IS NOT NULL ORDER BY change_id"
)
FOR_EVER = timedelta(days=3650)


@pytest_asyncio.fixture
async def owner(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database_url)
    await connection.execute("INSERT INTO bikes VALUES ('SN1'), ($$CANARY$$)")
    yield connection
    await connection.close()


async def ride_on(owner: asyncpg.Connection, bike: str = "SN1", hour: int = 0) -> int:
    """The number of a new ride."""
    return int(await owner.fetchval(RIDE, bike, timedelta(hours=hour)))


async def numbered(owner: asyncpg.Connection, kept_for: timedelta = FOR_EVER) -> list[object]:
    """The feed, once everything that can be seen has its number."""
    await owner.execute("SELECT number_changes($1)", kept_for)
    return [tuple(row) for row in await owner.fetch(NUMBERED)]


async def test_a_rides_way_is_told_step_by_step(owner: asyncpg.Connection) -> None:
    ride = await ride_on(owner)
    for statement in (
        "UPDATE rides SET implausible_count = 1 WHERE ride_id = $1",  # it goes on: nothing
        END,
        END,  # told again, the same: nothing
        "UPDATE rides SET energy_kj = 7 WHERE ride_id = $1",
        "UPDATE rides SET ended_at = NULL, end_reason = NULL WHERE ride_id = $1",
        "DELETE FROM rides WHERE ride_id = $1",
    ):
        await owner.execute(statement, ride)
    kinds = ("ride.ended", "ride.amended", "ride.resumed", "ride.deleted")
    assert await numbered(owner) == [(n, kind, ride) for n, kind in enumerate(kinds, 1)]


async def test_a_rider_is_told_of_when_facts_change_and_not_when_they_are_told_again(
    owner: asyncpg.Connection,
) -> None:
    for statement in (
        "INSERT INTO riders (rider_id, gender, weight_kg, seen_at) VALUES (7, 'other', 60, now())",
        "UPDATE riders SET seen_at = now() + interval '1 day', weight_kg = 60",
        "UPDATE riders SET weight_kg = 61",
        "DELETE FROM riders",
    ):
        await owner.execute(statement)
    kinds = ("rider.changed", "rider.changed", "rider.erased")
    assert await numbered(owner) == [(n, kind, 7) for n, kind in enumerate(kinds, 1)]


async def test_nothing_is_told_of_the_canary(owner: asyncpg.Connection) -> None:
    await owner.execute(
        "INSERT INTO riders (rider_id, gender, seen_at) VALUES ($1, 'other', now())",
        FIRST_CANARY_RIDER_ID,
    )
    await owner.execute(END, await ride_on(owner, CANARY_BIKE))
    await owner.execute("DELETE FROM rides")
    await owner.execute("DELETE FROM riders")
    assert await numbered(owner) == []


async def test_what_commits_late_gets_a_later_number_and_what_is_undone_none(
    owner: asyncpg.Connection, database_url: str
) -> None:
    """By the order of noting, one who had read up to the second would never be told the first."""
    first, second, undone, third = [await ride_on(owner, hour=hour) for hour in range(4)]
    slow, undoing = [await asyncpg.connect(database_url) for _ in range(2)]
    slow_work, undone_work = slow.transaction(), undoing.transaction()
    await slow_work.start()
    await slow.execute(END, first)
    await undone_work.start()
    await undoing.execute(END, undone)
    await owner.execute(END, second)
    seen = await numbered(owner)
    assert seen == [(1, "ride.ended", second)]
    await slow_work.commit()
    await undone_work.rollback()
    await owner.execute(END, third)
    assert await numbered(owner) == [
        *seen,
        (2, "ride.ended", first),
        (3, "ride.ended", third),
    ]
    for connection in (slow, undoing):
        await connection.close()


async def test_who_follows_while_many_write_and_number_sees_all_once_in_order(
    owner: asyncpg.Connection, database_url: str
) -> None:
    writers, each = 6, 25
    rides = [[await ride_on(owner, hour=w * each + n) for n in range(each)] for w in range(writers)]
    ended = asyncio.Event()

    async def write(mine: list[int]) -> None:
        connection = await asyncpg.connect(as_role(database_url, "ingestor"))
        for ride in mine:
            async with connection.transaction():
                await connection.execute(END, ride)
                # So that transactions overlap in every order.
                await asyncio.sleep((ride * 7919 % 13) / 1000)
        await connection.close()

    async def follow() -> list[tuple[int, int]]:
        connection = await asyncpg.connect(as_role(database_url, "api"))
        seen: list[tuple[int, int]] = []
        while True:
            was_over = ended.is_set()
            await connection.execute("SELECT number_changes($1)", FOR_EVER)
            rows = await connection.fetch(
                "SELECT change_id, ride_id FROM changes WHERE change_id > $1 ORDER BY change_id",
                len(seen),
            )
            seen += [tuple(row) for row in rows]
            if was_over and not rows:
                await connection.close()
                return seen
            await asyncio.sleep(0.002)

    following = [asyncio.create_task(follow()) for _ in range(3)]
    await asyncio.gather(*map(write, rides))
    ended.set()
    told = await asyncio.gather(*following)
    for seen in told:
        assert [number for number, _ in seen] == list(range(1, writers * each + 1))
        assert sorted(ride for _, ride in seen) == sorted(chain.from_iterable(rides))
        for mine in rides:
            assert [ride for _, ride in seen if ride in mine] == mine


async def test_what_grew_too_old_is_forgotten_from_the_beginning_on(
    owner: asyncpg.Connection,
) -> None:
    for hour in range(4):
        await owner.execute(END, await ride_on(owner, hour=hour))
    await numbered(owner)
    await owner.execute("UPDATE changes SET noted_at = now() - interval '91 days' WHERE noted < 3")
    await owner.execute(END, await ride_on(owner, hour=9))
    told = await numbered(owner, timedelta(days=90))
    assert [row[0] for row in told] == [3, 4, 5]  # type: ignore[index]
    state = await owner.fetchrow("SELECT last_change_id, forgotten_until FROM change_feed")
    assert tuple(state or ()) == (5, 2)


def test_the_migration_means_what_rules_and_tables_mean() -> None:
    migration = import_module("deloton.store.migrations.versions.0020_changes")
    assert tuple(ChangeKind) == migration.KINDS
    assert (migration.CANARY_BIKE, migration.FIRST_CANARY_RIDER_ID) == (
        CANARY_BIKE,
        FIRST_CANARY_RIDER_ID,
    )
