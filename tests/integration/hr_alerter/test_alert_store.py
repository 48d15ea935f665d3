"""Which alerts become rows, and who may send them."""

import asyncio
from datetime import UTC, date, datetime, timedelta

import asyncpg
import pytest

from deloton.events import HeartRate
from deloton.rules.heart_rate import AlertLevel, Limit, OwnLimits
from deloton.rules.whose import Whose
from hr_alerter.alerts import AlertState, BegunAlert, Claim
from hr_alerter.episodes import Alert
from hr_alerter.ownership import Expired, Held, Leases, Owner
from hr_alerter.store import AlertRules, WhoRides, store_alerts, who_rides
from tests.integration.hr_alerter.alerter_site import BORN_ON

LOW, HIGH, CRITICAL = AlertLevel
RULES = AlertRules()
Row = tuple[object, ...]
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
    sample = HeartRate(ride_id, rider, measured_at, 150)
    return Alert(sample, Limit(level, 145.0, "x"), measured_at)


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


async def test_a_database_whose_clock_is_fast_lets_no_alert_come_too_late(
    pool: asyncpg.Pool, database_url: str
) -> None:
    ride = await a_ride(pool)
    await pool.execute(
        "CREATE SCHEMA fast; CREATE FUNCTION fast.now() RETURNS timestamptz "
        "RETURN pg_catalog.now() + interval '10 minutes'"
    )
    first = {"search_path": "fast, pg_catalog, public"}
    async with asyncpg.create_pool(database_url, server_settings=first, min_size=1) as fast:
        assert await fast.fetchval("SELECT now() > clock_timestamp() + interval '9 minutes'")
        assert [one.state for one in await store_alerts(fast, [an_alert(ride)], RULES)] == [
            "pending"
        ]


@pytest.mark.parametrize(
    ("bike", "whose"),
    [("SN1", Whose.RIDER), ("SANDBOX1", Whose.SANDBOX), ("CANARY", Whose.CANARY)],
)
async def test_whose_an_alert_is_is_known_from_its_bike_even_without_a_rider(
    pool: asyncpg.Pool, bike: str, whose: Whose
) -> None:
    ride_ids = [await a_ride(pool, None, bike) for _ in range(2)]
    new = await store_alerts(pool, [an_alert(ride_id) for ride_id in ride_ids], RULES)
    assert [one.whose for one in new] == [whose, whose]
    owner, too_old = an_owner(pool), datetime.now(UTC) + timedelta(seconds=1)
    [claim] = await owner.claim(1)
    begun = await owner.begin(claim)
    assert begun is not None
    assert begun.whose is whose
    late = [await owner.expire({claim.alert_id: 1}, too_old), await owner.expire_unowned(too_old)]
    assert [list(one.values()) for one in late] == [[Expired(HIGH, whose)]] * 2


async def test_what_came_too_late_is_put_aside_unless_it_has_been_seen_anew(
    pool: asyncpg.Pool,
) -> None:
    await stored(pool, *[an_alert(await a_ride(pool, n), rider=n, ago_s=100) for n in range(3)])
    owner = an_owner(pool)
    [_, ours] = await owner.claim(2)
    await pool.execute("UPDATE heart_rate_alerts SET seen_at = now() WHERE fence = 0")
    fresh_from = datetime.now(UTC) - timedelta(seconds=60)
    assert await owner.expire_unowned(fresh_from) == {}
    assert await an_owner(pool).expire({ours.alert_id: 1}, fresh_from) == {}
    assert await owner.expire({ours.alert_id: 2}, fresh_from) == {ours.alert_id: Expired(HIGH)}
    await pool.execute("UPDATE heart_rate_alerts SET seen_at = NULL")
    assert len(await owner.expire_unowned(fresh_from)) == 1
    found = await pool.fetch("SELECT state, attempts FROM heart_rate_alerts ORDER BY 1, 2")
    assert list(map(tuple, found)) == [("expired", 0), ("expired", 2), ("sending", 0)]


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


def an_owner(pool: asyncpg.Pool, **seconds: float) -> Owner:
    return Owner(pool, Leases(**{name: timedelta(seconds=s) for name, s in seconds.items()}))


async def only_row(pool: asyncpg.Pool, columns: str = "state, owner IS NULL, fence") -> Row:
    [row] = await pool.fetch(f"SELECT {columns} FROM heart_rate_alerts")
    return tuple(row)


async def begun(owner: Owner, claim: Claim) -> BegunAlert:
    alert = await owner.begin(claim)
    assert alert is not None
    return alert


async def test_an_alert_is_claimed_by_one_alone_until_its_lease_is_over(
    pool: asyncpg.Pool,
) -> None:
    await stored(pool, an_alert(await a_ride(pool)))
    ours, theirs = an_owner(pool, claim=0.3), an_owner(pool)
    [claim] = await ours.claim(10)
    assert (claim.level, claim.fence) == (HIGH, 1)
    assert await theirs.claim(10) == await ours.claim(10) == []
    assert await ours.renew([claim.alert_id]) == {claim.alert_id: Held(1, claim.seen_at)}
    await asyncio.sleep(0.4)
    [theirs_now] = await theirs.claim(10)
    assert (theirs_now.alert_id, theirs_now.fence) == (claim.alert_id, 2)
    assert await ours.renew([claim.alert_id]) == {}


async def test_an_alert_whose_claim_was_never_heard_of_is_soon_claimed_anew(
    pool: asyncpg.Pool,
) -> None:
    """The answer got lost: the row says who owns it, and its owner does not know."""
    await stored(pool, an_alert(await a_ride(pool)))
    ours = an_owner(pool, claim=0.3)
    [unheard] = await ours.claim(10)
    while not (claimed := await ours.claim(10)):
        assert await ours.renew([]) == {}
        await asyncio.sleep(0.05)
    assert [(each.alert_id, each.fence) for each in claimed] == [(unheard.alert_id, 2)]


async def test_who_comes_back_finds_another_fence_and_may_do_nothing(pool: asyncpg.Pool) -> None:
    await stored(pool, an_alert(await a_ride(pool)))
    ours, theirs = an_owner(pool, claim=0, sending=0), an_owner(pool)
    [old] = await ours.claim(1)
    alert = await begun(ours, old)
    [new] = await theirs.claim(1)
    assert await ours.begin(old) is None
    assert not await ours.settle(old, alert, AlertState.FAILED)
    assert not await ours.settle(old, alert, AlertState.UNKNOWN)
    assert await only_row(pool) == ("sending", False, 2)
    assert await theirs.settle(new, alert, AlertState.EXPIRED)
    assert await only_row(pool) == ("expired", True, 2)


async def test_that_a_mail_was_accepted_is_a_fact_whoever_has_the_alert(pool: asyncpg.Pool) -> None:
    await stored(pool, an_alert(await a_ride(pool)))
    ours, theirs = an_owner(pool, claim=0, sending=0), an_owner(pool)
    [old] = await ours.claim(1)
    alert = await begun(ours, old)
    [new] = await theirs.claim(1)
    assert await ours.settle(old, alert, AlertState.SENT, provider_message_id="ses-1")
    assert await theirs.begin(new) is None
    assert not await theirs.settle(new, alert, AlertState.SENT, provider_message_id="ses-2")
    assert await only_row(pool, "state, provider_message_id") == ("sent", "ses-1")


async def test_while_a_mail_is_out_its_alert_is_no_others_for_longer(pool: asyncpg.Pool) -> None:
    await stored(pool, an_alert(await a_ride(pool)))
    ours, theirs = an_owner(pool, claim=0.1, sending=30), an_owner(pool)
    [claim] = await ours.claim(1)
    await begun(ours, claim)
    await ours.renew([claim.alert_id])
    await asyncio.sleep(0.2)
    assert await theirs.claim(1) == []


async def test_a_mail_is_begun_with_what_is_known_of_the_rider_by_then(pool: asyncpg.Pool) -> None:
    await stored(pool, an_alert(await a_ride(pool)))
    owner = an_owner(pool)
    [claim] = await owner.claim(1)
    alert = await begun(owner, claim)
    assert (alert.first_name, alert.email, alert.is_wanted) == ("Ada", "ada@example.com", True)
    await pool.execute("UPDATE riders SET email = 'new@example.com'")
    assert (await begun(owner, claim)).email == "new@example.com"
    await pool.execute("INSERT INTO rider_limits (rider_id, alerts_on) VALUES (7001, false)")
    assert not (await begun(owner, claim)).is_wanted
    await pool.execute("DELETE FROM heart_rate_alerts")
    assert await owner.begin(claim) is None


async def test_what_is_given_back_is_free_at_once_but_for_what_is_with_the_provider(
    pool: asyncpg.Pool,
) -> None:
    for number in range(2):
        ride = await a_ride(pool, 7000 + number)
        await stored(pool, an_alert(ride, rider=7000 + number))
    ours, theirs = an_owner(pool), an_owner(pool)
    waiting, out = await ours.claim(2)
    await ours.let_go([out.alert_id])
    assert [one.alert_id for one in await theirs.claim(2)] == [waiting.alert_id]
    state = "SELECT state FROM heart_rate_alerts WHERE alert_id = $1"
    assert await pool.fetchval(state, out.alert_id) == "unknown"


async def test_critical_alerts_are_claimed_first_and_no_more_than_asked_for(
    pool: asyncpg.Pool,
) -> None:
    for number, level in enumerate([HIGH, LOW, CRITICAL]):
        ride = await a_ride(pool, 7000 + number)
        await stored(pool, an_alert(ride, level, ago_s=60 - number, rider=7000 + number))
    assert {one.level for one in await an_owner(pool).claim(2)} == {CRITICAL, HIGH}
    assert [one.level for one in await an_owner(pool).claim(2)] == [LOW]


async def test_twenty_that_claim_at_once_share_without_a_quarrel(pool: asyncpg.Pool) -> None:
    for number in range(60):
        ride = await a_ride(pool, 7000 + number)
        await stored(pool, an_alert(ride, rider=7000 + number))
    claims = await asyncio.gather(*(an_owner(pool).claim(3) for _ in range(20)))
    claimed = [claim.alert_id for each in claims for claim in each]
    assert len(claimed) == len(set(claimed))


async def test_locks_that_anybody_may_take_keep_no_alert_from_being_claimed(
    pool: asyncpg.Pool, database_url: str
) -> None:
    lock = f"SELECT pg_try_advisory_lock({0x616C7274 << 32} + alert_id) FROM heart_rate_alerts"
    await stored(pool, an_alert(await a_ride(pool)))
    somebody = await asyncpg.connect(database_url)
    assert await somebody.fetchval(lock)
    assert len(await an_owner(pool).claim(1)) == 1
    await somebody.close()


async def test_what_is_on_its_way_learns_of_the_newest_reading(pool: asyncpg.Pool) -> None:
    ride = await a_ride(pool)
    first = an_alert(ride, ago_s=110)
    await stored(pool, first)
    owner = an_owner(pool)
    [claim] = await owner.claim(1)
    now = lasting(first, ago_s=1, bpm=171)
    assert await stored(pool, now) == []
    alert = await begun(owner, claim)
    assert (alert.measured_at, alert.seen_at) == (first.sample.measured_at, now.sample.measured_at)
    assert alert.heart_rate_bpm == 171


@pytest.mark.parametrize(
    ("state", "is_told_again"),
    [("expired", True), ("sent", False), ("unknown", False), ("failed", False),
     ("undeliverable", False)],
)  # fmt: skip
async def test_while_the_danger_lasts_only_what_came_to_nothing_is_told_again(
    pool: asyncpg.Pool, state: str, is_told_again: bool
) -> None:
    first = an_alert(await a_ride(pool), ago_s=60)
    await stored(pool, first)
    await pool.execute("UPDATE heart_rate_alerts SET state = $1, settled_at = now()", state)
    assert await stored(pool, lasting(first, ago_s=1)) == (["high"] if is_told_again else [])
    assert await only_row(pool, "state") == ("pending" if is_told_again else state,)


async def test_a_danger_that_another_rides_failed_alert_hid_is_told_while_it_lasts(
    pool: asyncpg.Pool,
) -> None:
    first, second = an_alert(await a_ride(pool), ago_s=60), an_alert(await a_ride(pool), ago_s=50)
    assert await stored(pool, first, second) == ["high"]
    assert await stored(pool, lasting(second, ago_s=20)) == []
    await pool.execute("UPDATE heart_rate_alerts SET state = 'expired', settled_at = now()")
    assert await stored(pool, lasting(second, ago_s=10)) == ["high"]


async def test_who_was_told_in_another_ride_is_not_told_again_when_the_cool_down_ends_in_mid_danger(
    pool: asyncpg.Pool,
) -> None:
    rules = AlertRules(cool_down=timedelta(seconds=30))
    first, second = an_alert(await a_ride(pool), ago_s=60), an_alert(await a_ride(pool), ago_s=50)
    assert len(await store_alerts(pool, [first], rules)) == 1
    assert await store_alerts(pool, [second, lasting(second, ago_s=1)], rules) == []


def lasting(alert: Alert, ago_s: float, bpm: int = 150) -> Alert:
    """The same danger, later."""
    measured_at = datetime.now(UTC) - timedelta(seconds=ago_s)
    sample = HeartRate(alert.sample.ride_id, alert.sample.rider_id, measured_at, bpm)
    return Alert(sample, alert.limit, alert.began_at)
