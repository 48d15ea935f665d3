"""The analysts' star: what enters it, when, and that it leaves with what it was made from."""

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from deloton.rules.age_bands import AGE_BANDS, BAND_STARTS
from deloton.rules.calendar import PLAUSIBLE_AGES, age_on
from deloton.rules.figures import FIGURES
from deloton.rules.heart_rate import expected_maximum_bpm, time_in_zones, zone_of
from deloton.rules.power import FAULTY_AFTER_S
from deloton.store.database import connect_pool
from deloton.store.series import pack_rides
from deloton.store.star import FILL_VERSION, refresh, zone_bounds
from deloton.testing import BIKE, START_AT, at

ZONE = "Europe/London"
BORN_ON = date(1980, 3, 3)
# A number of its own for each figure of a ride, so that none can stand for another.
TOLD = {figure.name: 1000 - number for number, figure in enumerate(FIGURES)}


@pytest_asyncio.fixture
async def pool(database_url: str) -> AsyncIterator[asyncpg.Pool]:
    """Connections to a database with one bike and one rider."""
    pool = await connect_pool(database_url, size=3, application="test")
    await pool.execute("INSERT INTO bikes VALUES ($1, 'mendoza v9')", BIKE)
    await store_rider(pool, 7001)
    yield pool
    await pool.close()


async def store_rider(pool: asyncpg.Pool, rider_id: int, born_on: date | None = BORN_ON) -> None:
    await pool.execute(
        "INSERT INTO riders (rider_id, first_name, gender, born_on, weight_kg, town, postcode, "
        "account_created_on, seen_at) VALUES ($1, 'Ada', 'female', $2, 50, 'Exampleton', "
        "'EX4 4MP', '2022-01-04', now())",
        rider_id,
        born_on,
    )


async def store_ride(
    pool: asyncpg.Pool,
    rates: list[int | None],
    *,
    started_s: float = 0,
    rider_id: int | None = 7001,
    power_deviation_s: int | None = None,
) -> int:
    """A ride that has ended, with a reading a second of these heart rates, at 100 W."""
    measured = [rate for rate in rates if rate is not None]
    ride_id: int = await pool.fetchval(
        "INSERT INTO rides (rider_id, bike_serial, started_at, ended_at, end_reason, duration_s, "
        "reading_count, heart_rate_count, mean_power_watts, power_deviation_s) "
        "VALUES ($1, $2, $3, $4, 'silence', $5, $6, $7, 100, $8) RETURNING ride_id",
        rider_id,
        BIKE,
        at(started_s),
        at(started_s + len(rates)),
        float(len(rates)),
        len(rates),
        len(measured),
        power_deviation_s,
    )
    await pool.executemany(
        "INSERT INTO readings (ride_id, at, heart_rate_bpm, power_watts) VALUES ($1, $2, $3, 100)",
        [(ride_id, at(started_s + second + 0.5), rate) for second, rate in enumerate(rates)],
    )
    return ride_id


async def star_of(pool: asyncpg.Pool, view: str = "fact_rides") -> list[dict[str, Any]]:
    return [dict(row) for row in await pool.fetch(f"SELECT * FROM analytics.{view} ORDER BY 1, 2")]


async def rides_of(pool: asyncpg.Pool) -> list[dict[str, Any]]:
    """What the star holds of rides, of which analysts see a part."""
    return [dict(row) for row in await pool.fetch("SELECT * FROM star_rides ORDER BY ride_id")]


async def test_minutes_in_zones_are_those_of_the_shared_rules_to_the_last_digit(
    pool: asyncpg.Pool,
) -> None:
    dice = random.Random(7)
    expected = {}
    for number in range(60):
        born_on = date(1930, 1, 1) + timedelta(days=dice.randrange(32_000))
        await store_rider(pool, number, born_on)
        rates = [dice.choice([None, *range(60, 210)]) for _ in range(dice.randrange(1, 130))]
        ride_id = await store_ride(pool, rates, started_s=number * 200, rider_id=number)
        age = age_on(at(number * 200).date(), born_on)
        seconds = time_in_zones(
            {rate: rates.count(rate) for rate in rates}, expected_maximum_bpm(age)
        )
        expected[ride_id] = list(seconds.values())
    await refresh(pool, ZONE, batch_rides=7)
    found = {
        row["ride_id"]: [row[f"zone_{number}_s"] for number in range(1, 6)]
        for row in await rides_of(pool)
    }
    assert found == expected


def test_the_bounds_put_every_heart_rate_into_its_zone() -> None:
    for age, *bounds in zip(*zone_bounds(), strict=True):
        for bpm in range(400):
            number = 1 + sum(bpm >= bound for bound in bounds)
            assert zone_of(bpm, expected_maximum_bpm(age)).number == number
    assert zone_bounds()[0] == list(PLAUSIBLE_AGES)


async def test_a_rides_row_tells_its_day_by_the_companys_clocks(pool: asyncpg.Pool) -> None:
    ride_id = await store_ride(pool, [120, None])
    midnight = datetime(2026, 6, 30, 23, 15, tzinfo=UTC)
    await pool.execute("UPDATE rides SET started_at = $1 WHERE ride_id = $2", midnight, ride_id)
    await refresh(pool, ZONE)
    [row] = await rides_of(pool)
    assert row["started_local_at"].isoformat() == "2026-07-01T00:15:00"
    assert (row["started_on"], row["started_hour"]) == (date(2026, 7, 1), 0)
    assert row["started_weekday"] == 3
    assert row["mean_power_watts_per_kg"] == 2.0
    [told] = await star_of(pool)
    assert (told["contact_share"], told["started_on"]) == (0.5, date(2026, 7, 1))
    await refresh(pool, "America/New_York")
    [row] = await star_of(pool)
    assert (row["started_on"], row["started_hour"]) == (date(2026, 6, 30), 19)


async def test_a_rides_row_tells_of_its_rider_as_known_when_it_was_taken_up(
    pool: asyncpg.Pool,
) -> None:
    await store_ride(pool, [120])
    await refresh(pool, ZONE)
    await pool.execute("UPDATE riders SET gender = 'other', account_created_on = '2026-01-31'")
    await store_ride(pool, [120], started_s=100)
    await refresh(pool, ZONE)
    columns = ("rider_gender", "rider_joined_month", "months_since_joining")
    first, second = ([row[name] for name in columns] for row in await rides_of(pool))
    month = START_AT.year * 12 + START_AT.month
    assert first == ["female", date(2022, 1, 1), month - (2022 * 12 + 1)]
    assert second == ["other", date(2026, 1, 1), month - (2026 * 12 + 1)]


@pytest.mark.parametrize("band", range(1, len(AGE_BANDS)))
async def test_a_rides_age_band_is_the_shared_one_of_the_day_of_the_ride(
    pool: asyncpg.Pool, band: int
) -> None:
    years = BAND_STARTS[band - 1]
    birthday = START_AT.date().replace(year=START_AT.year - years)
    await store_rider(pool, 1, born_on=birthday)
    await store_rider(pool, 2, born_on=birthday + timedelta(days=1))
    for rider_id in (1, 2):
        await store_ride(pool, [120], started_s=rider_id * 100, rider_id=rider_id)
    await refresh(pool, ZONE)
    bands = [row["rider_age_band"] for row in await rides_of(pool)]
    assert bands == [AGE_BANDS[band], AGE_BANDS[band - 1]]


async def test_a_rides_age_band_is_of_the_companys_day_on_which_it_began(
    pool: asyncpg.Pool,
) -> None:
    await store_rider(pool, 1, born_on=date(2001, 7, 1))
    ride_id = await store_ride(pool, [120], rider_id=1)
    midnight = datetime(2026, 6, 30, 23, 15, tzinfo=UTC)
    await pool.execute("UPDATE rides SET started_at = $1 WHERE ride_id = $2", midnight, ride_id)
    await refresh(pool, ZONE)
    assert [row["rider_age_band"] for row in await rides_of(pool)] == ["25–34"]


async def test_a_ride_without_a_rider_tells_of_nobody(pool: asyncpg.Pool) -> None:
    await store_ride(pool, [120], rider_id=None)
    await store_rider(pool, 1, born_on=None)
    await store_ride(pool, [120], started_s=100, rider_id=1)
    await refresh(pool, ZONE)
    nobody, ageless = await rides_of(pool)
    assert (nobody["rider_gender"], nobody["rider_joined_month"]) == ("unknown", None)
    assert (nobody["months_since_joining"], nobody["rider_key"]) == (None, None)
    assert (nobody["rider_age_band"], ageless["rider_age_band"]) == ("unknown", "unknown")


@pytest.mark.parametrize(
    ("deviations_s", "is_faulty"),
    [
        ([], None),
        ([FAULTY_AFTER_S - 1], False),
        ([FAULTY_AFTER_S], True),
        ([FAULTY_AFTER_S, 0], False),
        ([FAULTY_AFTER_S, None], None),
    ],
)
async def test_a_bikes_latest_ride_tells_whether_its_power_sensor_is_faulty(
    pool: asyncpg.Pool, deviations_s: list[int | None], is_faulty: bool | None
) -> None:
    for number, deviation_s in enumerate(deviations_s):
        await store_ride(pool, [120], started_s=number * 100, power_deviation_s=deviation_s)
    await pool.execute(
        "INSERT INTO rides (bike_serial, started_at) VALUES ($1, $2)", BIKE, at(1000)
    )
    await refresh(pool, ZONE)
    [bike] = await star_of(pool, "dim_bikes")
    assert bike["power_sensor_is_faulty"] is is_faulty
    assert [row["power_deviation_s"] for row in await star_of(pool)] == deviations_s


async def test_a_rides_minutes_add_up_to_the_ride(pool: asyncpg.Pool) -> None:
    await store_ride(pool, [100] * 60 + [None] * 30)
    await refresh(pool, ZONE)
    minutes = await star_of(pool, "fact_reading_minutes")
    told = [(row["minute"], row["reading_count"], row["heart_rate_count"]) for row in minutes]
    assert told == [(0, 60, 60), (1, 30, 0)]
    assert sum(row["energy_kj"] for row in minutes) == pytest.approx(9.0)


async def store_figures(pool: asyncpg.Pool) -> int:
    """A ride of 90 s whose figures all differ; the hands leave the bar after 60 s."""
    ride_id = await store_ride(pool, [])
    for name, value in TOLD.items():
        await pool.execute(f"UPDATE rides SET {name} = $1", value)
    rates = [100] * 8 + [110] * 10 + [130] * 12 + [150] * 14 + [170] * 16 + [None] * 30
    await pool.executemany(
        "INSERT INTO readings (ride_id, at, elapsed_s, heart_rate_bpm, cadence_rpm, resistance, "
        "power_watts) VALUES ($1, $2, $3, $4, $5, $6, $7)",
        [
            (
                ride_id,
                at(second + 0.5),
                second,
                rate,
                60 + second % 2,
                20 + second // 60,
                2 * second,
            )
            for second, rate in enumerate(rates)
        ],
    )
    return ride_id


async def test_each_column_of_the_star_holds_what_its_name_says(pool: asyncpg.Pool) -> None:
    ride_id = await store_figures(pool)
    await refresh(pool, ZONE)
    [ride] = await star_of(pool)
    [rider] = await star_of(pool, "dim_riders")
    figures = {figure.name: TOLD[figure.name] for figure in FIGURES if figure.in_star}
    told = {
        "ride_id": ride_id,
        "rider_key": rider["rider_key"],
        "started_on": START_AT.date(),
        "started_hour": 9,
        "started_weekday": 1,
        **figures,
    }
    assert ride == {
        **told,
        "contact_share": TOLD["heart_rate_count"] / TOLD["reading_count"],
        "rider_gender": "withheld",
        "rider_born_in": "withheld",
    }
    [stored] = await rides_of(pool)
    assert stored == {
        **told,
        "bike_serial": BIKE,
        "started_at": START_AT,
        "started_local_at": START_AT.replace(tzinfo=None),
        "mean_power_watts_per_kg": TOLD["mean_power_watts"] / 50,
        "zone_1_s": 8,
        "zone_2_s": 10,
        "zone_3_s": 12,
        "zone_4_s": 14,
        "zone_5_s": 16,
        "rider_gender": "female",
        "rider_age_band": "45–54",
        "rider_joined_month": date(2022, 1, 1),
        "months_since_joining": 50,
    }


async def test_each_column_of_the_stars_minutes_holds_what_its_name_says(
    pool: asyncpg.Pool,
) -> None:
    ride_id = await store_figures(pool)
    await refresh(pool, ZONE)
    first, second = await star_of(pool, "fact_reading_minutes")
    assert first == {
        "ride_id": ride_id,
        "minute": 0,
        "reading_count": 60,
        "heart_rate_count": 60,
        "mean_heart_rate_bpm": (800 + 1100 + 1560 + 2100 + 2720) / 60,
        "max_heart_rate_bpm": 170,
        "mean_cadence_rpm": 60.5,
        "mean_resistance": 20.0,
        "mean_power_watts": 59.0,
        "max_power_watts": 118.0,
        "energy_kj": 3.54,
    }
    assert second == {
        "ride_id": ride_id,
        "minute": 1,
        "reading_count": 30,
        "heart_rate_count": 0,
        "mean_heart_rate_bpm": None,
        "max_heart_rate_bpm": None,
        "mean_cadence_rpm": 60.5,
        "mean_resistance": 21.0,
        "mean_power_watts": 149.0,
        "max_power_watts": 178.0,
        "energy_kj": 4.47,
    }


async def test_rides_in_progress_wait_outside_and_resumed_ones_leave(pool: asyncpg.Pool) -> None:
    ride_id = await store_ride(pool, [120] * 10)
    await refresh(pool, ZONE)
    await pool.execute("UPDATE rides SET ended_at = NULL, end_reason = NULL")
    await refresh(pool, ZONE)
    assert await star_of(pool) == []
    await pool.execute("UPDATE rides SET ended_at = $1, end_reason = 'silence'", at(99))
    done = await refresh(pool, ZONE)
    assert [row["ride_id"] for row in await star_of(pool)] == [ride_id]
    assert done.ride_count == 1


async def test_a_refresh_looks_only_at_what_changed(pool: asyncpg.Pool) -> None:
    await store_ride(pool, [120] * 10)
    await store_ride(pool, [120] * 10, started_s=100)
    assert (await refresh(pool, ZONE)).ride_count == 2
    assert (await refresh(pool, ZONE)).ride_count == 0
    await pool.execute("UPDATE rides SET energy_kj = 7 WHERE started_at = $1", START_AT)
    assert (await refresh(pool, ZONE)).ride_count == 1
    assert [row["energy_kj"] for row in await star_of(pool)] == [7.0, None]


async def test_a_rider_of_unknown_age_has_no_zones_and_a_ride_without_readings_keeps_its_own(
    pool: asyncpg.Pool,
) -> None:
    await store_rider(pool, 1, born_on=None)
    await store_ride(pool, [120], rider_id=1)
    await store_ride(pool, [60] * 60, started_s=100)
    await refresh(pool, ZONE)
    await pool.execute("DELETE FROM readings")
    await pool.execute("UPDATE rides SET energy_kj = 7")
    await refresh(pool, ZONE)
    unknown, known = await rides_of(pool)
    assert unknown["zone_1_s"] is None
    assert (known["zone_1_s"], known["energy_kj"]) == (60, 7.0)


async def test_an_erased_rider_leaves_the_star_in_the_same_transaction(pool: asyncpg.Pool) -> None:
    await store_ride(pool, [120] * 70)
    await refresh(pool, ZONE)
    await pool.execute("DELETE FROM rides")
    await pool.execute("DELETE FROM riders")
    for view in ("fact_rides", "fact_reading_minutes", "fact_alerts", "dim_riders"):
        assert await star_of(pool, view) == []


async def test_a_refresh_neither_waits_for_an_erasure_nor_brings_the_rider_back(
    pool: asyncpg.Pool,
) -> None:
    await store_ride(pool, [120])
    async with pool.acquire() as eraser, eraser.transaction():
        await eraser.execute("DELETE FROM rides")
        await eraser.execute("DELETE FROM riders")
        done = await refresh(pool, ZONE)
        assert (done.ride_count, done.skipped_count) == (0, 1)
    await refresh(pool, ZONE)
    assert await star_of(pool) == []
    assert await pool.fetchval("SELECT count(*) FROM star_changes") == 0


async def test_a_rider_keeps_one_key_that_is_not_the_riders_number(pool: asyncpg.Pool) -> None:
    for start in (0, 100):
        await store_ride(pool, [120], started_s=start)
        await refresh(pool, ZONE)
    keys = {row["rider_key"] for row in await star_of(pool)}
    [rider] = await star_of(pool, "dim_riders")
    assert keys == {rider["rider_key"]}
    assert keys != {7001}
    assert set(rider.values()) - keys == {"withheld"}


async def test_two_refreshes_at_once_share_the_work(pool: asyncpg.Pool) -> None:
    for number in range(20):
        await store_ride(pool, [120], started_s=number * 10)
    both = await asyncio.gather(*(refresh(pool, ZONE, batch_rides=3) for _ in range(2)))
    assert sum(each.ride_count for each in both) == 20
    assert len(await star_of(pool)) == 20


async def test_every_view_and_column_is_explained(pool: asyncpg.Pool) -> None:
    unexplained = await pool.fetch(
        "SELECT attrelid::regclass, attname FROM pg_attribute JOIN pg_class c ON c.oid = attrelid "
        "WHERE relnamespace = 'analytics'::regnamespace AND attnum > 0 "
        "AND (col_description(attrelid, attnum) IS NULL OR obj_description(attrelid) IS NULL)"
    )
    assert unexplained == []


async def test_dates_reach_from_the_first_ride_to_the_end_of_the_year(pool: asyncpg.Pool) -> None:
    assert await star_of(pool, "dim_dates") == []
    await store_ride(pool, [120])
    await refresh(pool, ZONE)
    dates = await star_of(pool, "dim_dates")
    assert dates[0]["date"] == START_AT.date()
    assert (dates[0]["weekday_name"], dates[0]["is_weekend"]) == ("Monday", False)
    assert (dates[-1]["date"].month, dates[-1]["date"].day) == (12, 31)


async def test_a_ride_that_is_packed_enters_as_it_did_before(pool: asyncpg.Pool) -> None:
    async def star() -> list[tuple[Any, ...]]:
        await refresh(pool, ZONE)
        rides = await pool.fetch("SELECT * FROM star_rides ORDER BY ride_id")
        minutes = await pool.fetch("SELECT * FROM star_reading_minutes ORDER BY ride_id, minute")
        return [tuple(row) for row in (*rides, *minutes)]

    for number in range(3):
        await store_ride(pool, [None, 120, 140, 160, 180] * 40, started_s=number * 3_600)
    before = await star()
    await pool.execute("UPDATE rides SET ended_at = ended_at")
    assert await pack_rides(pool, ended_for_s=0) == 3
    await pool.execute("TRUNCATE readings")
    await pool.execute("DELETE FROM star_rides")
    assert await star() == before


async def test_a_refresh_that_does_not_fill_all_columns_settles_no_ride(pool: asyncpg.Pool) -> None:
    """As one of the version before, beside a migration that gave the star a column."""
    await store_ride(pool, [120, 130])
    await pool.execute("UPDATE star_refreshes SET fill_version = $1", FILL_VERSION + 1)
    await refresh(pool, ZONE)
    assert await pool.fetchval("SELECT count(*) FROM star_changes") == 1
    await pool.execute("UPDATE star_refreshes SET fill_version = $1", FILL_VERSION)
    await pool.execute("DELETE FROM star_changes")
    assert await pool.fetchval("SELECT count(*) FROM star_changes") == 1
    await refresh(pool, ZONE)
    assert await pool.fetchval("SELECT count(*) FROM star_changes") == 0


async def test_this_version_fills_all_columns_that_the_migrations_made(pool: asyncpg.Pool) -> None:
    assert await pool.fetchval("SELECT fill_version FROM star_refreshes") == FILL_VERSION


async def test_a_batch_that_takes_too_long_is_halved_until_it_does_not(pool: asyncpg.Pool) -> None:
    await pool.execute(
        "CREATE FUNCTION two_at_most() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "IF (SELECT count(*) FROM filled) > 2 THEN "
        "RAISE 'takes too long' USING ERRCODE = 'query_canceled'; END IF; RETURN NULL; END $$"
    )
    await pool.execute(
        "CREATE TRIGGER two_at_most AFTER INSERT ON star_rides REFERENCING NEW TABLE AS filled "
        "FOR EACH STATEMENT EXECUTE FUNCTION two_at_most()"
    )
    for number in range(9):
        await store_ride(pool, [120], started_s=number * 100)
    assert (await refresh(pool, ZONE)).ride_count == 9
    assert len(await star_of(pool)) == 9
