"""A day is counted from the totals of its rides, as PostgreSQL holds them."""

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
import pytest
import pytest_asyncio

from reporter.days import day_in, week_in
from reporter.queries import count_period, count_totals
from reporter.summary import AlertCount, Group, RefusalCount, Summary, summarise

LONDON = ZoneInfo("Europe/London")
ON = date(2026, 3, 10)
NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
BIKE = "SN1"

RIDER: dict[str, Any] = {
    "gender": "female",
    "first_name": "Ada",
    "last_name": "Example",
    "born_on": date(1990, 5, 2),
    "town": "Exampleton",
    "original_source": "direct",
    "seen_at": NOON,
}
ENDED: dict[str, Any] = {
    "end_reason": "silence",
    "reading_count": 300,
    "duration_s": 300.0,
    "mean_heart_rate_bpm": 120.0,
    "heart_rate_count": 240,
    "mean_power_watts": 100.0,
    "max_power_watts": 400.0,
    "total_power_watts": 30_000.0,
    "energy_kj": 30.0,
}
OPEN: dict[str, Any] = dict.fromkeys((*ENDED, "ended_at"))


class Rows:
    """A database that is filled row by row, and told of."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self.connection = connection

    async def rider(self, rider_id: int, **changes: Any) -> int:  # noqa: ANN401
        await self._insert("riders", RIDER | {"rider_id": rider_id} | changes)
        return rider_id

    async def ride(
        self,
        started_at: datetime = NOON,
        rider_id: int | None = None,
        **changes: Any,  # noqa: ANN401
    ) -> int:
        ended = ENDED | {"ended_at": started_at + timedelta(minutes=5)} | changes
        ride = {"bike_serial": BIKE, "started_at": started_at, "rider_id": rider_id}
        return int(await self._insert("rides", ride | ended, "ride_id"))

    async def alert(self, ride_id: int, level: str, state: str) -> None:
        facts = {"measured_at": NOON, "heart_rate_bpm": 190, "limit_bpm": 180.0, "limit_rule": "x"}
        settled_at = None if state == "pending" else NOON
        own = {"ride_id": ride_id, "level": level, "state": state, "settled_at": settled_at}
        await self._insert("heart_rate_alerts", facts | own)

    async def refused(self, refused_in: datetime, reason: str, lines: int, partition: int) -> None:
        where = {"topic": "deloton", "partition": partition}
        facts = {"refused_in": refused_in, "reason": reason, "line_count": lines}
        await self._insert("refused_lines", where | facts)

    async def summary(self, on: date = ON) -> Summary:
        day = day_in(LONDON, on)
        return summarise(day, await count_period(self.connection, day))

    async def _insert(self, table: str, row: dict[str, Any], key: str = "1") -> Any:  # noqa: ANN401
        places = ", ".join(f"${number}" for number in range(1, len(row) + 1))
        query = f"INSERT INTO {table} ({', '.join(row)}) VALUES ({places}) RETURNING {key}"
        return await self.connection.fetchval(query, *row.values())


@pytest_asyncio.fixture
async def rows(database_url: str) -> AsyncIterator[Rows]:
    connection = await asyncpg.connect(database_url)
    await connection.execute("INSERT INTO bikes VALUES ($1)", BIKE)
    yield Rows(connection)
    await connection.close()


async def test_an_empty_database_is_a_day_without_rides(rows: Rows) -> None:
    summary = await rows.summary()
    assert (summary.totals.rides, summary.past, summary.leaders) == (0, (), ())
    assert summary.totals.mean_heart_rate_bpm is None


async def test_a_days_totals_are_those_of_its_rides(rows: Rows) -> None:
    await rows.ride(NOON, await rows.rider(1))
    await rows.ride(NOON + timedelta(hours=1), 1, duration_s=100.0)
    totals = (await rows.summary()).totals
    assert (totals.rides, totals.riders, totals.new_riders) == (2, 1, 1)
    assert (totals.ride_time_s, totals.mean_duration_s, totals.rides_cut_short) == (400, 200, 1)
    assert (totals.total_power_watts, totals.energy_kj, totals.mean_power_watts) == (
        60_000,
        60,
        100,
    )
    assert totals.without_contact_share == pytest.approx(0.2)


async def test_mean_heart_rate_is_of_seconds_with_a_heart_rate(rows: Rows) -> None:
    await rows.ride(NOON, mean_heart_rate_bpm=100.0, heart_rate_count=10)
    await rows.ride(NOON + timedelta(hours=1), mean_heart_rate_bpm=160.0, heart_rate_count=30)
    await rows.ride(NOON + timedelta(hours=2), mean_heart_rate_bpm=None, heart_rate_count=0)
    assert (await rows.summary()).totals.mean_heart_rate_bpm == pytest.approx(145)


async def test_mean_power_is_of_seconds_not_of_rides(rows: Rows) -> None:
    await rows.ride(NOON, mean_power_watts=50.0, reading_count=100)
    await rows.ride(NOON + timedelta(hours=1), mean_power_watts=150.0, reading_count=300)
    assert (await rows.summary()).totals.mean_power_watts == pytest.approx(125)


async def test_rides_from_before_contact_was_counted_say_nothing_of_it(rows: Rows) -> None:
    await rows.ride(NOON, heart_rate_count=None)
    totals = (await rows.summary()).totals
    assert (totals.without_contact_share, totals.mean_heart_rate_bpm) == (None, 120)


async def test_a_ride_that_goes_on_counts_as_a_ride_alone(rows: Rows) -> None:
    await rows.ride(NOON, **OPEN)
    totals = (await rows.summary()).totals
    assert (totals.rides, totals.open_rides, totals.ride_time_s) == (1, 1, 0)
    assert totals.rides_without_rider == 1


async def test_who_rode_before_returns_and_is_not_new(rows: Rows) -> None:
    await rows.ride(NOON - timedelta(days=30), await rows.rider(1))
    await rows.ride(NOON, 1)
    await rows.ride(NOON + timedelta(hours=1), await rows.rider(2, original_source="offline"))
    summary = await rows.summary()
    assert (summary.totals.new_riders, summary.totals.returning_riders) == (1, 1)
    assert [(group.label, group.new_riders) for group in summary.sources] == [
        ("direct", 0),
        ("offline", 1),
    ]


async def test_a_ride_belongs_to_the_local_day_on_which_it_started(rows: Rows) -> None:
    await rows.ride(datetime(2026, 6, 30, 22, 59, 59, tzinfo=UTC))
    await rows.ride(datetime(2026, 6, 30, 23, tzinfo=UTC))
    days = [day_in(LONDON, date(2026, 6, 30)), day_in(LONDON, date(2026, 7, 1))]
    totals = await count_totals(rows.connection, days)
    assert [day.rides for day in totals] == [1, 1]
    assert (await rows.summary(date(2026, 7, 1))).figure("rides").before == 1


async def test_the_hour_that_comes_twice_is_two_hours(rows: Rows) -> None:
    for hour in (0, 1, 1):
        started_at = datetime(2026, 10, 25, hour, tzinfo=UTC) + timedelta(minutes=hour * 5)
        await rows.ride(started_at, bike_serial=await _another_bike(rows))
    summary = await rows.summary(date(2026, 10, 25))
    assert [(hour.label, hour.rides) for hour in summary.parts[:4]] == [
        ("00:00", 0),
        ("01:00", 1),
        ("01:00", 2),
        ("02:00", 0),
    ]
    assert len(summary.parts) == 25


@pytest.mark.parametrize(("on", "hours"), [(date(2026, 3, 29), 23), (date(2026, 10, 25), 25)])
async def test_where_the_clocks_change_a_ride_an_hour_is_one_in_each_part(
    rows: Rows, on: date, hours: int
) -> None:
    day, week = day_in(LONDON, on), week_in(LONDON, on)
    starts = [day.begins_at + timedelta(hours=number) for number in range(hours)]
    for at in (starts[0] - timedelta(minutes=1), *starts, day.ends_at):
        await rows.ride(at, bike_serial=await _another_bike(rows))
    told = await rows.summary(on)
    assert [part.rides for part in told.parts] == [1] * hours
    assert told.totals.rides == hours
    told = summarise(week, await count_period(rows.connection, week))
    assert [part.rides for part in told.parts] == [0, 0, 0, 0, 0, 1, hours]


async def test_a_week_is_told_by_its_days_beside_the_week_before(rows: Rows) -> None:
    for days in (-8, -1, 0, 0.25, 4):
        await rows.ride(NOON + timedelta(days=days))
    week = week_in(LONDON, ON)
    summary = summarise(week, await count_period(rows.connection, week))
    assert [part.rides for part in summary.parts] == [1, 2, 0, 0, 0, 1, 0]
    assert (summary.totals.rides, summary.figure("rides").before) == (4, 1)


async def test_groups_count_rides_riders_and_time_by_what_is_known(rows: Rows) -> None:
    await rows.ride(NOON, await rows.rider(1, born_on=date(2001, 3, 10)))
    await rows.ride(NOON + timedelta(hours=1), 1)
    await rows.ride(NOON + timedelta(hours=2))
    summary = await rows.summary()
    assert summary.genders == (Group("female", 2, 1, 1, 600), Group("unknown", 1, 0, 0, 300))
    assert [(age.label, age.rides) for age in summary.ages] == [("25–34", 2), (None, 1)]
    assert [town.label for town in summary.towns] == ["Exampleton"]


async def test_leaders_have_the_most_energy_and_sprinters_the_most_power(rows: Rows) -> None:
    await rows.ride(NOON, await rows.rider(1), max_power_watts=900.0)
    await rows.ride(NOON + timedelta(hours=1), await rows.rider(2, first_name=None, last_name=None))
    await rows.ride(NOON + timedelta(hours=2), 2)
    await rows.ride(NOON + timedelta(hours=3), await rows.rider(3), **OPEN)
    summary = await rows.summary()
    assert [(one.name, one.energy_kj) for one in summary.leaders] == [
        (None, 60),
        ("Ada Example", 30),
    ]
    assert [one.max_power_watts for one in summary.sprinters] == [900, 400]


async def test_alerts_are_counted_by_level_and_by_what_became_of_them(rows: Rows) -> None:
    for hour, states in enumerate([("sent", "expired"), ("failed", "pending")]):
        ride_id = await rows.ride(NOON + timedelta(hours=hour))
        for level, state in zip(("high", "critical"), states, strict=True):
            await rows.alert(ride_id, level, state)
    summary = await rows.summary()
    assert summary.alerts == (
        AlertCount("critical", alerts=2, sent=0, pending=1),
        AlertCount("high", alerts=2, sent=1, pending=0),
    )
    assert summary.totals.alerts == 4


async def test_refused_lines_are_those_of_the_local_day_from_all_partitions(rows: Rows) -> None:
    summer = date(2026, 7, 1)
    midnight = datetime(2026, 6, 30, 23, tzinfo=UTC)
    await rows.refused(midnight - timedelta(minutes=15), "no_ride", 5, partition=0)
    await rows.refused(midnight, "not_json", 7, partition=0)
    await rows.refused(midnight, "not_json", 8, partition=1)
    await rows.refused(midnight + timedelta(hours=23, minutes=45), "no_ride", 20, partition=0)
    await rows.refused(midnight + timedelta(hours=24), "no_ride", 100, partition=0)
    # The company has been there longer than since then.
    await rows.ride(midnight - timedelta(days=30))
    summary = await rows.summary(summer)
    assert summary.refusals == (RefusalCount("no_ride", 20), RefusalCount("not_json", 15))
    lines = summary.figure("dead_letters")
    assert (lines.value, lines.before, lines.usual) == (35, 5, 5 / 7)


async def test_a_day_in_a_zone_of_quarters_has_its_own_refused_lines(rows: Rows) -> None:
    # In Kathmandu a day begins at 18:15 UTC.
    begins_at = datetime(2026, 3, 9, 18, 15, tzinfo=UTC)
    for minutes, lines in ((-15, 1), (0, 10), (24 * 60 - 15, 100), (24 * 60, 1_000)):
        await rows.refused(begins_at + timedelta(minutes=minutes), "no_ride", lines, partition=0)
    day = day_in(ZoneInfo("Asia/Kathmandu"), ON)
    [totals] = await count_totals(rows.connection, [day])
    assert totals.dead_letters == 110


async def test_a_bike_is_faulty_from_half_a_minute_of_wrong_power_on(rows: Rows) -> None:
    for number, seconds in enumerate([None, 0, 29, 30, 400]):
        bike = await _another_bike(rows)
        for hours in (0, 1):
            at = NOON + timedelta(hours=hours, minutes=number)
            await rows.ride(at, bike_serial=bike, power_deviation_s=seconds)
    await rows.ride(NOON - timedelta(days=1), power_deviation_s=31)
    summary = await rows.summary()
    assert summary.faulty_serials == ("SN5", "SN6")
    bikes = summary.figure("faulty_bikes")
    assert (bikes.value, bikes.before, bikes.usual) == (2, 1, 1)


async def _another_bike(rows: Rows) -> str:
    count = await rows.connection.fetchval("SELECT count(*) FROM bikes")
    serial = f"SN{count + 1}"
    await rows.connection.execute("INSERT INTO bikes VALUES ($1)", serial)
    return serial
