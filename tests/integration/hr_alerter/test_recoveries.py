"""That a danger is over: told once, to whom a mail had told of it, while they ride."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from msgspec.structs import replace

from deloton.events import HeartRate
from deloton.rules.heart_rate import AlertLevel
from hr_alerter.alerts import AlertState, MailKind
from hr_alerter.ownership import Leases, Owner
from hr_alerter.recoveries import Stored, store_recoveries, withdraw_recoveries
from hr_alerter.recovery import Recovery
from hr_alerter.store import who_rides
from tests.integration.hr_alerter.alerter_site import (
    CRITICAL,
    HIGH,
    WELL,
    AlerterSite,
    eventually,
)

pytestmark = pytest.mark.embedded

MAX_AGE = timedelta(minutes=2)
CALM = [WELL, WELL + 1] * 31

_ALERT = """
INSERT INTO heart_rate_alerts (ride_id, rider_id, level, measured_at, heart_rate_bpm, limit_bpm,
                               limit_rule, state, settled_at)
VALUES ($1, 7001, $2, $3, 170, 166, 'x', $4, CASE WHEN $4 <> 'pending' THEN now() END)
RETURNING alert_id
"""


def ago(seconds: float) -> datetime:
    return datetime.now(UTC) - timedelta(seconds=seconds)


def over(ride_id: int, since_s: float = 70.0, seen_s: float = 5.0) -> Recovery:
    return Recovery(HeartRate(ride_id, 7001, ago(seen_s), WELL), ago(since_s))


async def an_alert(
    site: AlerterSite,
    ride_id: int,
    level: AlertLevel = AlertLevel.HIGH,
    state: str = "sent",
    ago_s: float = 90.0,
) -> int:
    row = (ride_id, level, ago(ago_s), state)
    return int(await site.database.fetchval(_ALERT, *row))


async def recoveries(
    site: AlerterSite, columns: str = "alert_id, state"
) -> list[tuple[object, ...]]:
    rows = await site.database.fetch(f"SELECT {columns} FROM heart_rate_recoveries ORDER BY 1")
    return [tuple(row) for row in rows]


async def stored(pool: asyncpg.Pool, *over_now: Recovery) -> Sequence[str]:
    return (await store_recoveries(pool, over_now, MAX_AGE)).states


async def test_one_row_of_the_newest_mailed_alert_however_often_it_is_said(
    site: AlerterSite,
) -> None:
    ride = await site.a_ride()
    await an_alert(site, ride, AlertLevel.HIGH, ago_s=100)
    last = await an_alert(site, ride, AlertLevel.CRITICAL, ago_s=95)
    assert await stored(site.database, over(ride)) == ["pending"]
    assert await stored(site.database, over(ride, seen_s=0)) == []
    assert await recoveries(site, "alert_id, level, state") == [(last, "critical", "pending")]


@pytest.mark.parametrize(
    "state", ["pending", "expired", "undeliverable", "failed", "unknown", "bounced", "complained"]
)
async def test_who_was_not_told_of_the_danger_is_not_told_of_its_end(
    site: AlerterSite, state: str
) -> None:
    ride = await site.a_ride()
    await an_alert(site, ride, state=state)
    waiting = {ride} if state == "pending" else set()
    assert await store_recoveries(site.database, [over(ride)], MAX_AGE) == Stored([], waiting)


@pytest.mark.parametrize(
    "state", ["pending", "expired", "undeliverable", "failed", "unknown", "bounced", "complained"]
)
async def test_who_was_told_of_less_than_the_worst_is_not_told_to_ride_on(
    site: AlerterSite, state: str
) -> None:
    ride = await site.a_ride()
    await an_alert(site, ride, AlertLevel.HIGH, ago_s=100)
    await an_alert(site, ride, AlertLevel.CRITICAL, state=state)
    assert await stored(site.database, over(ride)) == []


async def test_what_was_normal_before_the_danger_says_nothing_of_its_end(site: AlerterSite) -> None:
    ride = await site.a_ride()
    await an_alert(site, ride, ago_s=30)
    assert await stored(site.database, over(ride, since_s=70)) == []


async def test_what_is_told_too_late_has_expired_and_a_later_end_takes_its_place(
    site: AlerterSite,
) -> None:
    ride = await site.a_ride()
    await an_alert(site, ride, ago_s=400)
    assert await stored(site.database, over(ride, since_s=300, seen_s=200)) == ["expired"]
    assert await stored(site.database, over(ride, since_s=300, seen_s=200)) == []
    # The same end, seen late at first; taken back, only another one takes its place.
    since = await site.database.fetchval("SELECT measured_at FROM heart_rate_recoveries")
    same = [replace(over(ride, seen_s=seconds), since=since) for seconds in (5, 1)]
    assert await stored(site.database, same[0]) == ["pending"]
    await withdraw_recoveries(site.database, {ride})
    assert await stored(site.database, same[1]) == []
    assert await stored(site.database, over(ride, since_s=65, seen_s=0)) == ["pending"]
    await withdraw_recoveries(site.database, {ride})
    assert await recoveries(site, "state, owner") == [("expired", None)]


@pytest.mark.parametrize(
    ("state", "told", "awaits"),
    [("sent", None, True), ("pending", None, True), ("sent", "sent", False),
     ("sent", "expired", True), ("failed", None, False)],
)  # fmt: skip
async def test_a_successor_learns_whose_end_is_still_to_be_told(
    site: AlerterSite, state: str, told: str | None, awaits: bool
) -> None:
    ride = await site.a_ride()
    alert = await an_alert(site, ride, state=state)
    if told:
        await site.database.execute(
            "INSERT INTO heart_rate_recoveries (alert_id, level, measured_at, seen_at, "
            "heart_rate_bpm, state, settled_at) VALUES ($1, 'high', now(), now(), 120, $2, now())",
            alert,
            told,
        )
    known = await who_rides(site.database, {ride}, "Europe/London")
    assert known[ride].awaits_recovery is awaits


async def test_a_mail_has_one_owner_as_an_alerts_has(site: AlerterSite) -> None:
    ride = await site.a_ride()
    alert = await an_alert(site, ride)
    await stored(site.database, over(ride))
    short = Leases(timedelta(0), timedelta(0))
    ours, theirs = (Owner(site.database, short, MailKind.RECOVERY) for _ in range(2))
    [old] = await ours.claim(5)
    begun = await ours.begin(old)
    assert begun is not None
    assert (begun.kind, begun.heart_rate_bpm, begun.is_wanted, begun.is_riding) == (
        MailKind.RECOVERY, WELL, True, True,
    )  # fmt: skip
    [new] = await theirs.claim(5)
    assert (new.alert_id, new.fence, new.kind) == (alert, 2, MailKind.RECOVERY)
    assert not await ours.settle(old, begun, AlertState.FAILED)
    assert await ours.settle(old, begun, AlertState.SENT, provider_message_id="ses-1")
    assert await theirs.begin(new) is None
    assert await Owner(site.database, Leases()).claim(5) == []
    assert await recoveries(site, "state, provider_message_id") == [("sent", "ses-1")]


class Ride:
    """A ride of a site whose heart rates come one after the other up to now."""

    def __init__(self, site: AlerterSite, ride_id: int, began: datetime) -> None:
        self.site, self.ride_id, self.next_at = site, ride_id, began
        self.sent: list[HeartRate] = []

    async def goes_on(self, *rates: int) -> None:
        readings = self.site.readings(self.ride_id, *rates, rider_id=7001, first_at=self.next_at)
        self.next_at = readings[-1].measured_at + timedelta(seconds=1)
        self.sent += readings
        await self.site.produce(readings)


async def a_mailed_danger(site: AlerterSite, level_bpm: int = HIGH) -> Ride:
    """An alert is mailed; the heart has been normal for nearly a minute since."""
    ride = Ride(site, await site.a_ride(), ago(100))
    await ride.goes_on(*[level_bpm] * 4)
    await site.until_settled(1)
    await ride.goes_on(*CALM[:50])
    return ride


async def settled(site: AlerterSite) -> bool:
    return {state for (state,) in await recoveries(site, "state")} in (
        {"sent"}, {"expired"}, {"undeliverable"}, {"unknown"},
    )  # fmt: skip


async def test_back_to_normal_is_mailed_once_in_the_alerts_thread(site: AlerterSite) -> None:
    site.start_alerter()
    ride = await a_mailed_danger(site, CRITICAL)
    assert await recoveries(site) == []
    await ride.goes_on(*CALM)
    await eventually(lambda: settled(site))
    alert, end = site.ses.accepted
    assert end.to == alert.to == ("rider7001@example.com",)
    assert end.message["Subject"].startswith("Back to normal: your heart rate is 12")
    assert end.message["References"] == alert.message["References"]
    columns = "level, state, attempts, provider_message_id"
    assert await recoveries(site, columns) == [("critical", "sent", 1, "ses-2")]
    assert await site.rows() == [("critical", "sent")]

    async def counted() -> bool:
        return 'hr_alerter_recoveries_total{state="sent"} 1.0' in await site.page("/metrics")

    await eventually(counted)
    sample = 'hr_alerter_alerts_total{level="critical",state="sent",whose="rider"} 1.0'
    assert sample in await site.page("/metrics")


async def test_the_same_danger_after_its_end_is_mailed_no_more_as_the_mail_says(
    site: AlerterSite,
) -> None:
    site.start_alerter()
    ride = await a_mailed_danger(site, CRITICAL)
    await ride.goes_on(*CALM)
    await eventually(lambda: settled(site))
    await ride.goes_on(*[CRITICAL] * 6)
    await site.send(await site.a_ride(7002), *[HIGH] * 3, rider_id=7002)
    await site.until_settled(2)
    assert site.mails() == {"rider7001@example.com": 2, "rider7002@example.com": 1}
    end = site.ses.accepted[1].message
    body = end.get_body(("plain",))
    assert body is not None
    assert "We will not write about it again in this ride" in " ".join(body.get_content().split())


async def test_restarts_and_repeated_heart_rates_neither_lose_nor_repeat_it(
    site: AlerterSite,
) -> None:
    site.start_alerter()
    ride = await a_mailed_danger(site)
    site.alerters[0].kill()
    site.start_alerter()
    await ride.goes_on(*CALM)
    await ride.goes_on(*CALM[:20])
    await eventually(lambda: settled(site))
    site.alerters[1].kill()
    site.start_alerter(ALERTER_GROUP=f"{site.topic}-anew")
    await site.produce(ride.sent)
    await ride.goes_on(*CALM[:20])
    await site.send(await site.a_ride(7002), *[HIGH] * 3, rider_id=7002)
    await site.until_settled(2)
    assert site.mails() == {"rider7001@example.com": 2, "rider7002@example.com": 1}
    assert await recoveries(site, "state") == [("sent",)]


async def test_an_end_that_was_seen_too_late_is_mailed_once_it_is_of_use(
    site: AlerterSite,
) -> None:
    ride = Ride(site, await site.a_ride(), ago(700))
    await an_alert(site, ride.ride_id, ago_s=760)
    site.start_alerter(ALERT_MAX_AGE_S="120")
    await ride.goes_on(*[HIGH] * 4, *CALM * 5)

    async def is_expired() -> bool:
        return await recoveries(site, "state") == [("expired",)]

    await eventually(is_expired)
    await ride.goes_on(*CALM * 6)
    await eventually(lambda: is_sent(site, 1))
    assert len(site.ses.accepted) == 1


SWITCH_OFF = "INSERT INTO rider_limits (rider_id, alerts_on) VALUES (7001, false)"
REFUSE = """
INSERT INTO refused_addresses (rider_id, digest, because)
SELECT rider_id, sha256(convert_to(email, 'UTF8')), 'complained' FROM riders WHERE rider_id = 7001
"""
END = "UPDATE rides SET ended_at = now(), end_reason = 'silence'"


@pytest.mark.parametrize(
    ("change", "state"),
    [(SWITCH_OFF, "undeliverable"), (REFUSE, "undeliverable"), (END, "expired")],
)
async def test_who_wants_no_mails_gets_none_nor_who_rides_no_more(
    site: AlerterSite, change: str, state: str
) -> None:
    site.start_alerter()
    ride = await a_mailed_danger(site)
    await site.database.execute(change)
    await ride.goes_on(*CALM)
    await eventually(lambda: settled(site))
    assert await recoveries(site, "state, attempts") == [(state, 0)]
    assert len(site.ses.accepted) == 1


async def test_an_erased_rider_is_told_nothing(site: AlerterSite) -> None:
    ride = await site.a_ride()
    await an_alert(site, ride)
    await stored(site.database, over(ride))
    for table in ("heart_rate_alerts", "rides", "riders"):
        await site.database.execute(f"DELETE FROM {table} WHERE rider_id = 7001")
    site.start_alerter()
    await site.send(await site.a_ride(7002), *[HIGH] * 3, rider_id=7002)
    await site.until_settled(1)
    assert site.mails() == {"rider7002@example.com": 1}
    assert await recoveries(site) == []


async def test_what_no_provider_takes_in_time_has_expired_and_an_outage_is_waited_for(
    site: AlerterSite,
) -> None:
    rides = [await site.a_ride(7001), await site.a_ride(7001, bike_serial="OTHER")]
    alerts = [await an_alert(site, ride, ago_s=200) for ride in rides]
    await stored(
        site.database, over(rides[0], since_s=180, seen_s=115), over(rides[1], seen_s=-600)
    )
    site.ses.trouble = lambda _: "TooManyRequestsException"
    site.start_alerter(ALERT_MAX_AGE_S="120")

    async def first_expired() -> bool:
        return (alerts[0], "expired") in await recoveries(site)

    await eventually(first_expired)
    site.ses.trouble = lambda _: None
    await eventually(lambda: is_sent(site, alerts[1]))
    assert len(site.ses.accepted) == 1


async def is_sent(site: AlerterSite, alert_id: int) -> bool:
    return (alert_id, "sent") in await recoveries(site)


async def test_an_answer_that_is_lost_is_unknown_and_not_sent_again(site: AlerterSite) -> None:
    ride = await site.a_ride()
    await an_alert(site, ride)
    await stored(site.database, over(ride))
    site.ses.hangs_up = lambda _: True
    site.start_alerter()
    await eventually(lambda: settled(site))
    assert await recoveries(site, "state, attempts") == [("unknown", 1)]
    assert len(site.ses.accepted) == 1


async def test_a_danger_that_comes_back_takes_back_that_it_is_over(site: AlerterSite) -> None:
    site.start_alerter()
    ride = await a_mailed_danger(site)
    site.ses.trouble = lambda _: "TooManyRequestsException"
    await ride.goes_on(*CALM[:20])

    async def tried() -> bool:
        return bool(await recoveries(site))

    await eventually(tried)
    await ride.goes_on(*[CRITICAL] * 4)
    await eventually(lambda: settled(site))
    site.ses.trouble = lambda _: None
    await site.until_settled(2)
    assert await recoveries(site, "state") == [("expired",)]
    subjects = [mail.message["Subject"] for mail in site.ses.accepted]
    assert [subject[:8] for subject in subjects] == ["Ease off", "Stop and"]
