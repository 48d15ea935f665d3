"""An analyst singles out nobody: whatever is told of a rider is true of ten at least."""

from collections.abc import AsyncIterator
from datetime import date
from itertools import combinations

import asyncpg
import pytest
import pytest_asyncio

from deloton.store.database import connect_pool
from deloton.store.roles import set_password, url_as
from deloton.store.star import refresh
from deloton.store.star_cells import FEWEST, WORDS
from deloton_tableau.questions import question_of
from deloton_tableau.sheets import SHEETS, Sheet
from tests.roles import as_role

ZONE = "Europe/London"
PASSWORD = "s3cret of analysts"

# 5,000 riders as unlike as people are: towns of all sizes, ages of all, joined over four years. A
# fifth pass limits that a doctor set.
POPULATION = (
    "SELECT setseed(0.5)",
    "INSERT INTO bikes SELECT 'SN' || n FROM generate_series(1, 50) n",
    """
    INSERT INTO riders (rider_id, gender, born_on, town, postcode, account_created_on,
                        original_source, seen_at)
    SELECT n, (ARRAY['female', 'male', 'female', 'male', 'other'])[1 + floor(5 * random())::int
                   % 5 * (random() < 0.98)::int],
           date '1935-01-01' + floor(27000 * random())::int,
           'Town ' || floor(300 * random() * random())::int,
           (ARRAY['EX', 'LS', 'M', 'SW', 'G'])[1 + floor(5 * random())::int] || '4 4MP',
           date '2022-01-01' + floor(1450 * random())::int,
           (ARRAY['direct', 'offline', 'google ads'])[1 + floor(3 * random())::int], now()
    FROM generate_series(1, 5000) n
    """,
    """
    INSERT INTO rides (rider_id, bike_serial, started_at, ended_at, end_reason, reading_count,
                       duration_s, heart_rate_count, energy_kj)
    SELECT n % 5000 + 1, 'SN' || n % 50 + 1, at, at + interval '400 s', 'silence', 400, 400, 300, 30
    FROM generate_series(0, 9999) n
    CROSS JOIN LATERAL (SELECT timestamptz '2026-01-05 06:00Z' + n * interval '5 min' AS at) began
    """,
    """
    INSERT INTO heart_rate_alerts (ride_id, rider_id, level, measured_at, heart_rate_bpm, limit_bpm,
                                   limit_rule, state, settled_at, latency_ms)
    SELECT ride_id, rider_id, 'high', started_at + interval '99 s', 199,
           CASE WHEN rider_id % 5 = 0 THEN 100 + rider_id % 90 ELSE 190 - rider_id % 50 * 0.7 END,
           'rule', 'sent', started_at + interval '100 s', 900
    FROM rides WHERE ride_id % 3 = 0
    """,
)


@pytest_asyncio.fixture
async def owner(database_url: str) -> AsyncIterator[asyncpg.Pool]:
    """A database of 5,000 riders whose star is up to date."""
    pool = await connect_pool(database_url, size=2, application="test")
    for statement in POPULATION:
        await pool.execute(statement)
    await refresh(pool, ZONE)
    await set_password(pool, "tableau_reader", PASSWORD)
    yield pool
    await pool.close()


@pytest_asyncio.fixture
async def reader(owner: asyncpg.Pool, database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """A session of an analyst's."""
    connection = await asyncpg.connect(url_as(database_url, "tableau_reader", PASSWORD))
    yield connection
    await connection.close()


async def columns_of(reader: asyncpg.Connection, view: str) -> set[str]:
    rows = await reader.fetch(
        "SELECT attname FROM pg_attribute WHERE attrelid = $1::text::regclass AND attnum > 0", view
    )
    return {row["attname"] for row in rows}


async def smallest_group(reader: asyncpg.Connection, view: str, columns: tuple[str, ...]) -> int:
    """The fewest riders of whom a view tells the same in these columns."""
    fewest: int = await reader.fetchval(
        f"SELECT min(riders) FROM (SELECT count(DISTINCT rider_key) AS riders FROM {view} "
        f"GROUP BY {', '.join(columns)}) groups"
    )
    return fewest


async def test_no_combination_of_what_is_told_of_riders_singles_out_fewer_than_ten(
    reader: asyncpg.Connection,
) -> None:
    told = sorted(await columns_of(reader, "dim_riders") - {"rider_key"})
    assert told == sorted(WORDS)
    for size in range(1, len(told) + 1):
        for columns in combinations(told, size):
            assert await smallest_group(reader, "dim_riders", columns) >= FEWEST, columns


async def test_what_rides_tell_of_their_riders_adds_nothing(reader: asyncpg.Connection) -> None:
    told = {name for name in await columns_of(reader, "fact_rides") if name.startswith("rider_")}
    assert told == {"rider_key", "rider_gender", "rider_born_in"}
    joined = "fact_rides JOIN dim_riders USING (rider_key)"
    everything = (*WORDS, "rider_gender", "rider_born_in")
    assert await smallest_group(reader, joined, everything) >= FEWEST


async def test_rows_of_groups_tell_of_ten_riders_or_more(reader: asyncpg.Connection) -> None:
    for view in ("fact_retention", "fact_alerts", "fact_alert_limits"):
        counts = await reader.fetch(f"SELECT rider_count FROM {view}")
        assert counts, view
        assert min(row["rider_count"] for row in counts) >= FEWEST, view
        # Nothing leads from a group to a rider, a ride or a bike.
        assert not {"rider_key", "ride_id", "bike_serial"} & await columns_of(reader, view)


# A critical alert of a single rider, an own limit of another; and a month of joining of one.
ALONE = """
INSERT INTO heart_rate_alerts (ride_id, rider_id, level, measured_at, heart_rate_bpm, limit_bpm,
                               limit_rule, state, settled_at)
SELECT ride_id, rider_id, 'critical', '2026-01-07Z', 219, 215, 'rule', 'expired', '2026-01-07Z'
FROM rides WHERE rider_id IS NOT NULL LIMIT 1;
UPDATE star_rides SET rider_joined_month = '2019-05-01', months_since_joining = 80
WHERE ride_id = (SELECT min(ride_id) FROM star_rides);
"""
OF_ONE = {
    "fact_alerts": "level = 'critical'",
    "fact_alert_limits": "limit_from_bpm = 210",
    "fact_retention": "joined_month = '2019-05-01'",
}


@pytest.mark.parametrize("view", OF_ONE)
async def test_no_plan_tells_of_a_group_of_one(
    owner: asyncpg.Pool, reader: asyncpg.Connection, view: str
) -> None:
    asked = "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF, BUFFERS OFF) SELECT * FROM "
    plan = await reader.fetch(f"{asked} {view} WHERE {OF_ONE[view]}")
    await owner.execute(ALONE)
    assert await reader.fetch(f"{asked} {view} WHERE {OF_ONE[view]}") == plan
    await owner.execute("UPDATE star_refreshes SET groups_on = NULL")
    await refresh(owner, ZONE)
    assert await reader.fetch(f"{asked} {view} WHERE {OF_ONE[view]}") == plan


async def test_no_plan_tells_which_bike_is_being_ridden(
    owner: asyncpg.Pool, reader: asyncpg.Connection
) -> None:
    asked = "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF, BUFFERS OFF) SELECT * FROM "
    plan = await reader.fetch(f"{asked} dim_bikes WHERE bike_serial = 'SN7'")
    await owner.execute("INSERT INTO rides (bike_serial, started_at) VALUES ('SN7', now())")
    assert await reader.fetch(f"{asked} dim_bikes WHERE bike_serial = 'SN7'") == plan
    await refresh(owner, ZONE)
    assert await reader.fetch(f"{asked} dim_bikes WHERE bike_serial = 'SN7'") == plan
    [bike] = await reader.fetch("SELECT * FROM dim_bikes WHERE bike_serial = 'SN7'")
    assert tuple(bike) == ("SN7", "unknown", None)


@pytest.mark.parametrize("view", OF_ONE)
async def test_no_error_tells_of_a_group_of_one(
    owner: asyncpg.Pool, reader: asyncpg.Connection, view: str
) -> None:
    await owner.execute(ALONE)
    await owner.execute("UPDATE star_refreshes SET groups_on = NULL")
    await refresh(owner, ZONE)
    # Who meets such a row divides by nothing, or reads a word as a number.
    asked = f"SELECT * FROM {view} WHERE 1 / (CASE WHEN {OF_ONE[view]} THEN 0 ELSE 1 END) > 5"
    assert await reader.fetch(asked) == []


async def test_groups_are_counted_once_a_day_and_by_the_companys_clocks(
    owner: asyncpg.Pool, reader: asyncpg.Connection
) -> None:
    told = await reader.fetch("SELECT * FROM fact_alerts ORDER BY 1, 2")
    await owner.execute("DELETE FROM heart_rate_alerts WHERE rider_id % 2 = 0")
    await refresh(owner, ZONE)
    assert await reader.fetch("SELECT * FROM fact_alerts ORDER BY 1, 2") == told
    await owner.execute("UPDATE star_refreshes SET groups_on = groups_on - 1")
    await refresh(owner, ZONE)
    the_next_day = await reader.fetch("SELECT * FROM fact_alerts ORDER BY 1, 2")
    assert sum(row["rider_count"] for row in the_next_day) > 0
    assert sum(row["alert_count"] for row in the_next_day) < sum(row["alert_count"] for row in told)
    await owner.execute("DELETE FROM heart_rate_alerts")
    await refresh(owner, "America/New_York")
    assert await reader.fetch("SELECT * FROM fact_alerts") == []


async def test_the_refreshers_role_counts_groups(owner: asyncpg.Pool, database_url: str) -> None:
    counted = await owner.fetch("SELECT * FROM analytics.fact_alerts ORDER BY 1, 2")
    await owner.execute("UPDATE star_refreshes SET groups_on = NULL")
    await owner.execute("DELETE FROM star_alerts")
    pool = await connect_pool(as_role(database_url, "star_refresher"), size=1, application="test")
    await refresh(pool, ZONE)
    await pool.close()
    assert await owner.fetch("SELECT * FROM analytics.fact_alerts ORDER BY 1, 2") == counted


async def test_limits_are_told_in_tens_of_beats_and_of_riders(reader: asyncpg.Connection) -> None:
    for row in await reader.fetch("SELECT * FROM fact_alert_limits"):
        assert [row[name] % 10 for name in ("limit_from_bpm", "rider_count", "alert_count")] == [
            0,
            0,
            0,
        ]


async def test_no_view_tells_which_bike_was_ridden_or_its_minute(
    reader: asyncpg.Connection,
) -> None:
    for view in ("fact_rides", "fact_reading_minutes"):
        assert not await columns_of(reader, view) & {"bike_serial", "started_at", "zone_1_minutes"}


async def test_most_riders_are_still_told_of(reader: asyncpg.Connection) -> None:
    told = await reader.fetchrow(
        "SELECT avg((gender <> 'withheld')::int) AS gender, "
        "avg((born_in <> 'withheld')::int) AS born_in FROM dim_riders"
    )
    assert told is not None
    assert min(told["gender"], told["born_in"]) > 0.9


@pytest.mark.parametrize("sheet", SHEETS, ids=lambda sheet: sheet.title)
async def test_each_sheet_still_has_an_answer(reader: asyncpg.Connection, sheet: Sheet) -> None:
    assert await reader.fetch(question_of(sheet))


async def test_an_erasure_that_leaves_nine_withholds_what_was_told_of_them(
    owner: asyncpg.Pool, reader: asyncpg.Connection
) -> None:
    cell = await owner.fetchval(
        "SELECT cell FROM star_riders WHERE cell IS NOT NULL GROUP BY cell "
        "ORDER BY count(*) LIMIT 1"
    )
    members = [
        row["rider_id"]
        for row in await owner.fetch("SELECT rider_id FROM star_riders WHERE cell = $1", cell)
    ]
    erased = members[: len(members) - FEWEST + 1]
    await owner.execute("DELETE FROM rides WHERE rider_id = ANY($1::bigint[])", erased)
    await owner.execute("DELETE FROM riders WHERE rider_id = ANY($1::bigint[])", erased)
    left = await owner.fetchval("SELECT count(*) FROM star_riders WHERE cell = $1", cell)
    assert left == 0
    told = tuple(sorted(WORDS))
    assert await smallest_group(reader, "dim_riders WHERE gender <> 'withheld'", told) >= FEWEST


async def test_two_erasures_at_once_leave_no_cell_of_nine_after_the_next_refresh(
    owner: asyncpg.Pool,
) -> None:
    await owner.execute(
        "UPDATE star_riders SET cell = NULL WHERE rider_id IN (SELECT rider_id FROM star_riders "
        "WHERE cell = (SELECT cell FROM star_riders WHERE cell IS NOT NULL GROUP BY cell "
        "ORDER BY count(*) LIMIT 1) LIMIT 1)"
    )
    await refresh(owner, ZONE)
    fewest = await owner.fetchval(
        "SELECT min(riders) FROM (SELECT count(*) AS riders FROM star_riders "
        "WHERE cell IS NOT NULL GROUP BY cell) cells"
    )
    assert fewest >= FEWEST


async def test_a_new_rider_is_told_of_the_next_day_and_not_at_once(owner: asyncpg.Pool) -> None:
    before = await owner.fetch("SELECT rider_id, cell FROM star_riders ORDER BY 1")
    await owner.execute(
        "INSERT INTO riders (rider_id, gender, born_on, seen_at) "
        "VALUES (6000, 'female', $1, now())",
        date(1980, 3, 3),
    )
    await owner.execute(
        "INSERT INTO rides (rider_id, bike_serial, started_at, ended_at, end_reason) "
        "VALUES (6000, 'SN1', '2026-06-01Z', '2026-06-01 00:10Z', 'silence')"
    )
    await refresh(owner, ZONE)
    after = await owner.fetch("SELECT rider_id, cell FROM star_riders ORDER BY 1")
    assert [tuple(row) for row in after] == [*map(tuple, before), (6000, None)]
    await owner.execute("UPDATE star_refreshes SET cells_on = cells_on - 1")
    await refresh(owner, ZONE)
    assert await owner.fetchval("SELECT cell FROM star_riders WHERE rider_id = 6000") is not None


async def test_placing_riders_waits_for_no_erasure(owner: asyncpg.Pool) -> None:
    await owner.execute("UPDATE star_refreshes SET cells_on = NULL")
    async with owner.acquire() as eraser, eraser.transaction():
        await eraser.execute("DELETE FROM rides WHERE rider_id = 7")
        await eraser.execute("DELETE FROM riders WHERE rider_id = 7")
        await refresh(owner, ZONE)


async def test_fewer_than_ten_riders_are_told_nothing_of(database_url: str) -> None:
    pool = await connect_pool(database_url, size=1, application="test")
    for statement in POPULATION[1:4]:
        await pool.execute(statement.replace("5000", "9").replace("9999", "17"))
    await refresh(pool, ZONE)
    told = await pool.fetch("SELECT DISTINCT gender, born_in, town FROM analytics.dim_riders")
    await pool.close()
    assert [tuple(row) for row in told] == [("withheld",) * 3]
