"""Which alerts become rows, and who may send them."""

import asyncio
from datetime import UTC, date, datetime, timedelta

import asyncpg
import pytest

from deloton.events import HeartRate
from deloton.heart_rate import AlertLevel, Limit, OwnLimits
from hr_alerter.alerts import AlertState
from hr_alerter.claims import Claims
from hr_alerter.episodes import Alert
from hr_alerter.store import AlertRules, WhoRides, settle_alert, store_alerts, who_rides
from tests.integration.hr_alerter.alerter_site import BORN_ON

LOW, HIGH, CRITICAL = AlertLevel
RULES = AlertRules()
STARTED_AT = datetime(2026, 7, 1, 23, 30, tzinfo=UTC)


async def a_ride(pool: asyncpg.Pool, rider_id: int | None = 7001, bike: str = "SN1") -> int:
    """A ride of a rider who has an address."""
    if rider_id is not None:
        await pool.execute(
            "INSERT INTO riders (rider_id, first_name, gender, born_on, email, seen_at) "
            "VALUES ($1, 'Ada', 'female', $2, 'ada@example.com', now()) ON CONFLICT DO NOTHING",
            rider_id,
            BORN_ON,
        )
    await pool.execute("INSERT INTO bikes VALUES ($1) ON CONFLICT DO NOTHING", bike)
    ride_id: int = await pool.fetchval(
        "INSERT INTO rides (rider_id, bike_serial, started_at) VALUES ($1, $2, "
        "$3::timestamptz + interval '1 s' * (SELECT count(*) FROM rides)) RETURNING ride_id",
        rider_id,
        bike,
        STARTED_AT,
    )
    return ride_id


def an_alert(ride_id: int, level: AlertLevel = HIGH, ago_s: float = 10, rider: int = 7001) -> Alert:
    measured_at = datetime.now(UTC) - timedelta(seconds=ago_s)
    return Alert(HeartRate(ride_id, rider, measured_at, 150), Limit(level, 145.0, "x"))


async def stored(pool: asyncpg.Pool, *alerts: Alert) -> list[str]:
    """The levels of those that were new."""
    return [one.level for one in await store_alerts(pool, alerts, RULES)]


async def test_one_row_a_ride_and_level_however_often_it_is_stored(pool: asyncpg.Pool) -> None:
    ride = await a_ride(pool)
    alert = an_alert(ride)
    assert await stored(pool, alert, alert) == ["high"]
    assert await stored(pool, alert) == []


@pytest.mark.parametrize(("later_s", "expected"), [(899, []), (901, ["high"])])
async def test_the_cool_down_is_the_riders_and_ends(
    pool: asyncpg.Pool, later_s: float, expected: list[str]
) -> None:
    first, second = await a_ride(pool), await a_ride(pool)
    rules = AlertRules(max_age=timedelta(hours=1))
    await store_alerts(pool, [an_alert(first, ago_s=1000)], rules)
    again = await store_alerts(pool, [an_alert(second, ago_s=1000 - later_s)], rules)
    assert [one.level for one in again] == expected


async def test_the_cool_down_holds_within_one_batch(pool: asyncpg.Pool) -> None:
    first, second = await a_ride(pool), await a_ride(pool)
    assert await stored(pool, an_alert(first), an_alert(second)) == ["high"]


async def test_another_rider_is_not_held_to_it(pool: asyncpg.Pool) -> None:
    first, second = await a_ride(pool), await a_ride(pool, 7002)
    assert await stored(pool, an_alert(first), an_alert(second, rider=7002)) == ["high", "high"]


async def test_critical_may_follow_high_but_high_not_critical(pool: asyncpg.Pool) -> None:
    first, second = await a_ride(pool), await a_ride(pool)
    assert await stored(pool, an_alert(first, HIGH), an_alert(first, CRITICAL)) == [
        "high",
        "critical",
    ]
    await pool.execute("DELETE FROM heart_rate_alerts WHERE level = 'high'")
    assert await stored(pool, an_alert(first, HIGH), an_alert(second, HIGH)) == []
    assert await stored(pool, an_alert(first, LOW)) == ["low"]


async def test_an_alert_that_told_nobody_starts_no_cool_down(pool: asyncpg.Pool) -> None:
    first, second = await a_ride(pool), await a_ride(pool)
    assert await stored(pool, an_alert(first, ago_s=121)) == ["high"]
    assert await pool.fetchval("SELECT state FROM heart_rate_alerts") == "expired"
    assert await stored(pool, an_alert(second)) == ["high"]


async def test_an_expired_alert_gives_way_to_a_fresh_one_of_its_ride(pool: asyncpg.Pool) -> None:
    ride = await a_ride(pool)
    assert await stored(pool, an_alert(ride, ago_s=130), an_alert(ride, ago_s=125)) == ["high"]
    assert await stored(pool, an_alert(ride, ago_s=5)) == ["high"]
    [row] = await pool.fetch("SELECT state, settled_at FROM heart_rate_alerts")
    assert tuple(row) == ("pending", None)


async def test_a_ride_that_is_gone_has_no_alert(pool: asyncpg.Pool) -> None:
    assert await stored(pool, an_alert(12345)) == []


async def test_two_alerters_that_store_at_once_tell_a_rider_once(pool: asyncpg.Pool) -> None:
    for round_ in range(10):
        rider = 7100 + round_
        rides = [await a_ride(pool, rider) for _ in range(4)]
        tries = [stored(pool, an_alert(ride, rider=rider)) for ride in rides]
        told = [level for levels in await asyncio.gather(*tries) for level in levels]
        assert told == ["high"]


async def test_one_query_tells_who_rides(pool: asyncpg.Pool) -> None:
    known, unknown = await a_ride(pool), await a_ride(pool, None)
    await pool.execute(
        "INSERT INTO rider_limits (rider_id, high_bpm, alerts_on) VALUES (7001, 130, false)"
    )
    rode_on = date(2026, 7, 2)
    assert await who_rides(pool, {known, unknown, 999}, "Europe/London") == {
        known: WhoRides(known, rode_on, BORN_ON, OwnLimits(high_bpm=130, alerts_on=False)),
        unknown: WhoRides(unknown, rode_on, None, OwnLimits()),
    }


async def test_an_alert_is_claimed_by_one_alone_and_is_free_when_that_one_is_gone(
    pool: asyncpg.Pool, database_url: str
) -> None:
    await stored(pool, an_alert(await a_ride(pool)))
    ours, theirs = Claims(database_url), Claims(database_url)
    [alert] = (await ours.claim([], 10)).alerts
    assert (alert.level, alert.first_name, alert.email) == (HIGH, "Ada", "ada@example.com")
    assert (await theirs.claim([], 10)).alerts == []
    assert (await ours.claim([alert.alert_id], 10)).alerts == []
    await ours.close()
    assert (await theirs.claim([], 10)).alerts == [alert]
    await settle_alert(pool, alert.alert_id, AlertState.SENT)
    await theirs.release([alert.alert_id])
    assert (await theirs.claim([], 10)).alerts == []
    await theirs.close()


async def test_critical_alerts_are_claimed_first_and_no_more_than_asked_for(
    pool: asyncpg.Pool, database_url: str
) -> None:
    for number, level in enumerate([HIGH, LOW, CRITICAL]):
        ride = await a_ride(pool, 7000 + number)
        await stored(pool, an_alert(ride, level, ago_s=60 - number, rider=7000 + number))
    ours, theirs = Claims(database_url), Claims(database_url)
    assert {one.level for one in (await ours.claim([], 2)).alerts} == {CRITICAL, HIGH}
    assert [one.level for one in (await theirs.claim([], 2)).alerts] == [LOW]
    await ours.close()
    await theirs.close()


async def test_a_lost_connection_is_replaced_and_what_others_took_meanwhile_is_told(
    pool: asyncpg.Pool, database_url: str
) -> None:
    rides = [await a_ride(pool, 7000 + number) for number in range(2)]
    for number, ride in enumerate(rides):
        await stored(pool, an_alert(ride, rider=7000 + number))
    ours, theirs = Claims(database_url), Claims(database_url)
    in_hand = {alert.alert_id for alert in (await ours.claim([], 10)).alerts}
    await pool.execute(
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
        "WHERE application_name = 'hr-alerter claims'"
    )
    [taken] = (await theirs.claim([], 1)).alerts
    again = await ours.claim(in_hand, 10)
    assert (again.alerts, again.lost) == ([], {taken.alert_id})
    await ours.close()
    await theirs.close()
