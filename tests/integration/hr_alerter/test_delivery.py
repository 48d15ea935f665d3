"""One mail, while it helps: several alerters, and all that networks, providers and failovers do.

`DELIVERY_S` (20) is how long the last test goes on; each of its runs is another one, which
`DELIVERY_SEED` repeats.
"""

import asyncio
import itertools
import os
import random
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial

import asyncpg
import pytest
import pytest_asyncio

from deloton.migrate import migrate
from deloton.store.database import connect_pool
from demo.embedded_broker import EmbeddedBroker
from demo.embedded_postgres import EmbeddedPostgres
from demo.ports import LOCALHOST
from demo.processes import Program
from tests.integration.hr_alerter.alerter_site import CRITICAL, HIGH, AlerterSite, eventually
from tests.roles import as_role, give_passwords
from tests.smtp_double import USUAL, running_smtp_double
from tests.tcp_proxy import TcpProxy, running_proxy

pytestmark = pytest.mark.embedded

LASTS_S = float(os.environ.get("DELIVERY_S", "20"))
FROZEN_S = float(os.environ.get("FROZEN_S", "0"))
SEED = int(os.environ.get("DELIVERY_SEED", "0")) or random.randrange(1, 10**6)

DATABASE_AWAY = (
    OSError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)


@pytest_asyncio.fixture
async def proxy(site: AlerterSite) -> AsyncIterator[TcpProxy]:
    """Between the first alerter and the database."""
    async with running_proxy(port_of(site.database_url)) as proxy:
        yield proxy


def port_of(url: str) -> int:
    return int(url.rpartition(":")[2].partition("/")[0])


def start_through(site: AlerterSite, proxy: TcpProxy, **changes: str) -> Program:
    url = proxy.url_through(as_role(site.database_url, "hr_alerter"))
    return site.start_alerter(DATABASE_URL=url, **changes)


async def mailed(site: AlerterSite, rider_id: int) -> bool:
    return bool(site.mails()[f"rider{rider_id}@example.com"])


async def test_a_database_that_falls_silent_keeps_no_warning_back(
    site: AlerterSite, proxy: TcpProxy
) -> None:
    rides = [await site.a_ride(7001), await site.a_ride(7002)]
    start_through(site, proxy)
    await site.send(rides[0], *[HIGH] * 3)
    await site.until_settled(1)
    proxy.swallow()
    await site.send(rides[1], *[HIGH] * 3, rider_id=7002)
    await eventually(lambda: mailed(site, 7002))
    await site.until_settled(2)
    assert await site.states() == {"sent": 2}


async def test_health_tells_of_a_database_that_stays_silent_whatever_else_works(
    site: AlerterSite, proxy: TcpProxy
) -> None:
    ride = await site.a_ride()
    start_through(site, proxy)
    await eventually(lambda: site.is_ready(0))
    proxy.cut_off()
    await site.send(ride, *[HIGH] * 3)

    async def told() -> bool:
        page = await site.page("/health")
        return all(f"database: {what}" in page for what in ("storing", "claiming"))

    await eventually(told)
    proxy.heal()
    await site.until_settled(1)
    await eventually(lambda: is_well(site))


async def test_health_tells_of_a_broker_that_freezes_and_of_its_return_to_whoever_has_the_partition(
    site: AlerterSite,
) -> None:
    """`FROZEN_S` (0): for so long at least."""
    with EmbeddedBroker(site.guardian) as broker:
        site.broker = broker
        await broker.create_topic(site.topic)
        for _ in range(2):
            site.start_alerter(BROKER_SILENT_FROM_S="2")
        await eventually(lambda: anybody_is_ready(site))
        os.kill(broker.pid, signal.SIGSTOP)
        await eventually(lambda: anybody_tells(site, '"broker: reading"'))
        await asyncio.sleep(FROZEN_S)
        await eventually(lambda: anybody_tells(site, '"broker: reading"'))
        os.kill(broker.pid, signal.SIGCONT)
        for number in range(2):
            await eventually(partial(is_well_at, site, number))
        await site.send(await site.a_ride(), *[HIGH] * 3)
        await site.until_settled(1)
        broker.kill()


async def anybody_is_ready(site: AlerterSite) -> bool:
    return any([await site.is_ready(number) for number in range(len(site.alerters))])


async def anybody_tells(site: AlerterSite, words: str) -> bool:
    pages = [await site.page("/health", number) for number in range(len(site.alerters))]
    return any(words in page for page in pages)


async def is_well(site: AlerterSite) -> bool:
    return '"failing_for_s":{}' in await site.page("/health")


async def test_who_was_cut_off_mails_nothing_again_that_another_sent(
    site: AlerterSite, proxy: TcpProxy
) -> None:
    site.ses.answers_after_s = 0.1
    # Twice as long is a mail that is out nobody else's.
    patience = {"MAIL_ANSWER_WITHIN_S": "30"}
    start_through(site, proxy, **patience)
    await eventually(lambda: site.is_ready(0))
    await site.pending_alerts(60)
    await eventually(lambda: accepted(site, 15))
    proxy.cut_off()
    [first] = {owner for (owner,) in await site.rows("owner") if owner}
    site.start_alerter(**patience)
    await eventually(lambda: nothing_is_left_for_others(site, first))
    proxy.heal()
    await site.until_settled(60)
    await eventually(lambda: is_well_at(site, 0))
    assert await site.states() == {"sent": 60}
    assert set(site.mails().values()) == {1}


async def nothing_is_left_for_others(site: AlerterSite, owner: str) -> bool:
    """Whether all that is not settled are mails that this alerter has out."""
    query = """
        SELECT count(*) FROM heart_rate_alerts WHERE state = 'pending'
        OR (state = 'sending' AND (owner <> $1 OR owned_until < now() + interval '10 s'))
    """
    return not await site.database.fetchval(query, owner)


async def is_well_at(site: AlerterSite, alerter: int) -> bool:
    return '"failing_for_s":{}' in await site.page("/health", alerter)


async def accepted(site: AlerterSite, mails: int) -> bool:
    return len(site.ses.accepted) >= mails


async def test_a_mail_whose_answer_is_late_is_not_sent_again(site: AlerterSite) -> None:
    site.ses.answers_after_s = 8.0
    site.start_alerter(MAIL_ANSWER_WITHIN_S="3")
    await site.pending_alerts(3)
    await site.until_settled(3)
    await eventually(lambda: accepted(site, 3))
    assert await site.states() == {"unknown": 3}
    assert set(site.mails().values()) == {1}

    async def counted() -> bool:
        page = await site.page("/metrics")
        return (
            'hr_alerter_mail_attempts_total{end="unknown"} 3.0' in page
            and 'hr_alerter_alerts_total{level="high",state="unknown",whose="rider"} 3.0' in page
        )

    # The row is settled first, then counted.
    await eventually(counted)


async def test_a_provider_that_accepts_and_hangs_up_gets_each_mail_once(site: AlerterSite) -> None:
    site.ses.hangs_up = lambda to: "7001" in to
    site.start_alerter()
    await site.pending_alerts(3)
    await site.until_settled(3)
    assert await site.states() == {"sent": 2, "unknown": 1}
    assert set(site.mails().values()) == {1}


async def test_a_mail_server_that_falls_silent_after_the_text_gets_it_once(
    site: AlerterSite,
) -> None:
    async with running_smtp_double(lambda step: None if step == "text" else USUAL[step]) as smtp:
        url = f"smtp://{LOCALHOST}:{smtp.port}"
        site.start_alerter(MAIL_URL=url, MAIL_ANSWER_WITHIN_S="5")
        await site.pending_alerts(1)
        await site.until_settled(1)
    assert await site.rows("state, attempts") == [("unknown", 1)]
    assert smtp.texts == 1


async def test_a_danger_that_outlasts_an_outage_is_told_once_mail_flows(site: AlerterSite) -> None:
    """The outage lasts for longer than an alert is of use, were it an event."""
    site.ses.trouble = lambda _: "InternalServiceErrorException"
    ride_id = await site.a_ride()
    site.start_alerter(ALERT_MAX_AGE_S="60")
    await eventually(lambda: site.is_ready(0))
    over = asyncio.Event()
    riding = asyncio.create_task(ride_on(site, ride_id, over, since_s=52))
    await eventually(lambda: has_lasted(site, 61))
    site.ses.trouble = lambda _: None
    await eventually(lambda: mailed(site, 7001))
    over.set()
    await riding
    await site.until_settled(1)
    assert await site.rows("state, level") == [("sent", "critical")]
    assert site.mails() == {"rider7001@example.com": 1}
    await eventually(lambda: is_well(site))


async def test_who_is_in_danger_now_does_not_wait_behind_all_for_whom_it_is_too_late(
    site: AlerterSite,
) -> None:
    """As after a long outage; by the rate of mails it would take ten minutes to put them aside."""
    await site.pending_alerts(60)
    await site.grow_old()
    await site.pending_alerts(1, first=8000)
    site.start_alerter(MAIL_RATE_PER_S="0.1")
    await eventually(lambda: mailed(site, 8000))
    await site.until_settled(61)
    assert await site.states() == {"expired": 60, "sent": 1}


async def ride_on(site: AlerterSite, ride_id: int, over: asyncio.Event, *, since_s: float) -> None:
    """A heart that races until the ride is over, a reading a second, however seldom they go out."""
    began, sent = datetime.now(UTC) - timedelta(seconds=since_s), 0
    while not over.is_set():
        due = 1 + int((datetime.now(UTC) - began).total_seconds())
        beats = [CRITICAL + second % 2 for second in range(sent, due)]
        if beats:
            await site.send(ride_id, *beats, first_at=began + timedelta(seconds=sent))
        sent = due
        await asyncio.sleep(0.5)


async def has_lasted(site: AlerterSite, seconds: float) -> bool:
    """Whether the danger was seen for so long."""
    query = "SELECT max(seen_at - measured_at) FROM heart_rate_alerts"
    lasted = await site.database.fetchval(query)
    return lasted is not None and lasted > timedelta(seconds=seconds)


async def test_health_tells_of_now_and_not_of_an_outage_that_nobody_waits_for(
    site: AlerterSite,
) -> None:
    site.ses.trouble = lambda _: "InternalServiceErrorException"
    ride_id = await site.a_ride()
    site.start_alerter()
    await eventually(lambda: site.is_ready(0))
    await site.send(ride_id, *[HIGH] * 3)

    async def told() -> bool:
        return '"mail"' in await site.page("/health")

    await eventually(told)
    await site.grow_old()
    await site.until_settled(1)
    assert await site.states() == {"expired": 1}
    await eventually(lambda: is_well(site))


@pytest.mark.parametrize(
    ("stop_timeout_s", "answers_after_s", "states"),
    [("60", 4.0, {"sent"}), ("5", 12.0, {"sent", "unknown"})],
    ids=["time to finish", "no time to finish"],
)
async def test_who_is_stopped_while_answers_are_slow_mails_nobody_twice(
    site: AlerterSite, stop_timeout_s: str, answers_after_s: float, states: set[str]
) -> None:
    site.ses.answers_after_s = answers_after_s
    first = site.start_alerter(STOP_TIMEOUT_S=stop_timeout_s)
    await site.pending_alerts(12)
    await eventually(lambda: asked(site, 6))
    first.signal(signal.SIGTERM)
    assert await first.wait() == 0
    site.ses.answers_after_s = 0.0
    site.start_alerter()
    await site.until_settled(12)
    await eventually(lambda: accepted(site, 12))
    assert set(await site.states()) == states
    assert set(site.mails().values()) == {1}


async def asked(site: AlerterSite, mails: int) -> bool:
    return len(site.ses.asked_at) >= mails


async def test_what_changed_while_a_mail_waited_is_heeded(site: AlerterSite) -> None:
    answers = iter(["InternalServiceErrorException"] * 4)
    site.ses.trouble = lambda _: next(answers, None)
    await site.pending_alerts(4)
    site.start_alerter()
    await eventually(lambda: asked(site, 4))
    await site.database.execute("DELETE FROM heart_rate_alerts WHERE rider_id = 7000")
    await site.database.execute(
        "INSERT INTO rider_limits (rider_id, alerts_on) VALUES (7001, false)"
    )
    await site.database.execute("UPDATE riders SET email = 'new@example.com' WHERE rider_id = 7002")
    await site.until_settled(3)
    assert site.mails() == {"new@example.com": 1, "rider7003@example.com": 1}
    assert dict(await site.rows("rider_id, state"))[7001] == "undeliverable"


async def test_what_concerns_every_mail_ends_none(site: AlerterSite) -> None:
    site.ses.because = "Email address is not verified. The following identities failed: …"
    site.ses.trouble = lambda _: "MessageRejected"
    await site.pending_alerts(3)
    site.start_alerter()
    await eventually(lambda: asked(site, 4))

    async def told() -> bool:
        return '"mail"' in await site.page("/health")

    await eventually(told)
    site.ses.trouble = lambda _: None
    await site.until_settled(3)
    assert await site.states() == {"sent": 3}


async def test_poison_keeps_no_neighbours_alert_from_being_stored(site: AlerterSite) -> None:
    ride_id = await site.a_ride()
    site.start_alerter()
    at = '"2026-11-29T08:00:00Z"'
    poison = [
        f'{{"ride_id":{2**63},"rider_id":1,"measured_at":{at},"heart_rate_bpm":190}}',
        f'{{"ride_id":1,"rider_id":{2**70},"measured_at":{at},"heart_rate_bpm":190}}',
        f'{{"ride_id":1,"rider_id":1,"measured_at":{at},"heart_rate_bpm":40000}}',
        f'{{"ride_id":1,"rider_id":1,"measured_at":{at},"heart_rate_bpm":-1}}',
        '{"ride_id":1,"rider_id":1,"measured_at":"9999-12-31T23:59:59Z","heart_rate_bpm":190}',
        '{"ride_id":1,"rider_id":1,"measured_at":"0001-01-01T00:00:00Z","heart_rate_bpm":190}',
        '{"ride_id":1,"rider_id":1,"measured_at":"2026-11-29T08:00:00","heart_rate_bpm":190}',
    ]
    await site.produce_raw([line.encode() for line in poison for _ in range(3)])
    await site.send(ride_id, *[HIGH] * 3)
    await site.until_settled(1)
    assert site.alerters[0].running
    assert "hr_alerter_unreadable_messages_total 21.0" in await site.page("/metrics")


class Storm:
    """What befalls several alerters, again and again; a kill is noted, for it may repeat."""

    def __init__(self, site: AlerterSite, postgres: EmbeddedPostgres, seed: int) -> None:
        self.site = site
        self.postgres = postgres
        self.random = random.Random(seed)
        self.proxies: list[TcpProxy] = []
        # Which alerter, and when it lived last.
        self.kills: list[tuple[int, float]] = []
        self.told: list[str] = []

    async def blow(self, seconds: float) -> None:
        """One trouble after another, for so long; then all is well."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            trouble = self.random.choice(self.troubles())
            self.told.append(trouble.__name__)
            await trouble()
            await asyncio.sleep(self.random.uniform(0.1, 0.8))
        self.site.ses.trouble = lambda _: None
        for proxy in self.proxies:
            proxy.heal()

    def troubles(self) -> list[Callable[[], Awaitable[None]]]:
        """All kinds; a failover is rarer."""
        often = [self.swallow, self.reset, self.half_close, self.delay, self.outage, self.throttle]
        return [*often, *often, self.freeze, self.kill, self.fail_over]

    async def swallow(self) -> None:
        self.random.choice(self.proxies).swallow()

    async def reset(self) -> None:
        self.random.choice(self.proxies).reset()

    async def half_close(self) -> None:
        self.random.choice(self.proxies).half_close()

    async def delay(self) -> None:
        proxy = self.random.choice(self.proxies)
        proxy.delay_s = 0.2
        await asyncio.sleep(0.5)
        proxy.delay_s = 0.0

    async def outage(self) -> None:
        await self.answering("InternalServiceErrorException", 1.5)

    async def throttle(self) -> None:
        await self.answering("TooManyRequestsException", 0.5)

    async def answering(self, error: str, seconds: float) -> None:
        self.site.ses.trouble = lambda _: error
        await asyncio.sleep(seconds)
        self.site.ses.trouble = lambda _: None

    async def freeze(self) -> None:
        alerter = self.random.choice(self.site.alerters)
        alerter.signal(signal.SIGSTOP)
        await asyncio.sleep(1.5)
        alerter.signal(signal.SIGCONT)

    async def kill(self) -> None:
        number = self.random.randrange(len(self.site.alerters))
        self.site.alerters[number].kill()
        self.kills.append((number, time.time()))
        self.site.alerters[number].start()

    async def fail_over(self) -> None:
        await asyncio.to_thread(self.postgres.kill)
        await asyncio.to_thread(self.postgres.start)


ANSWER_WITHIN_S = 15


@pytest.mark.timeout(600 + 2 * LASTS_S)
async def test_five_alerters_in_a_storm_lose_nobody_and_tell_nobody_twice(
    site: AlerterSite,
) -> None:
    with EmbeddedPostgres(site.guardian) as postgres:
        url = postgres.create_database("storm")
        await asyncio.to_thread(migrate, url)
        await asyncio.to_thread(give_passwords, url)
        site.database_url = url
        site.database = await connect_pool(url, size=3, application="test")
        storm = Storm(site, postgres, SEED)
        proxies = [running_proxy(port_of(url)) for _ in range(5)]
        storm.proxies = [await one.__aenter__() for one in proxies]
        for number, proxy in enumerate(storm.proxies):
            knows_ses_by = f"{site.ses.url}/{number}"
            # Twice as long is a mail that is out nobody else's, whatever the storm holds up.
            patience = {"MAIL_ANSWER_WITHIN_S": str(ANSWER_WITHIN_S), "MAIL_RATE_PER_S": "40"}
            start_through(site, proxy, AWS_ENDPOINT_URL=knows_ses_by, **patience)
        acknowledged = await weathered(site, storm)
        stored = {rider_id for (rider_id,) in await site.rows("rider_id")}
        for one in proxies:
            await one.__aexit__(None, None, None)
        states = await site.states()
        await site.database.close()
    told = f"seed {SEED}: {storm.told}, {states}"
    mails = site.mails()
    assert acknowledged <= stored, told
    assert set(mails) == {f"rider{number}@example.com" for number in stored}, told
    assert set(states) <= {"sent", "unknown"}, told
    for before, again in site.mails_that_came_again():
        killed_at = [at for number, at in storm.kills if number == int(before.by)]
        # Whoever was kept from the database until the mail's lease was over could not say so.
        lease_was_over = again.asked_at - before.asked_at >= 2 * ANSWER_WITHIN_S
        was_killed = any(before.asked_at <= at <= again.asked_at for at in killed_at)
        assert was_killed or lease_was_over, (before, again, told)


async def weathered(site: AlerterSite, storm: Storm) -> set[int]:
    """Riders in danger all the while; returns those whose alert the database has acknowledged.

    It may have stored others, too: the storm takes its answer away, not what it has done.
    """
    blowing = asyncio.create_task(storm.blow(LASTS_S))
    acknowledged: set[int] = set()
    for first in itertools.count(7000, 4):
        if blowing.done():
            break
        try:
            await site.pending_alerts(4, first=first)
        except DATABASE_AWAY:
            pass
        else:
            acknowledged.update(range(first, first + 4))
        await asyncio.sleep(0.4)
    await blowing
    await site.until_settled(len(acknowledged))
    return acknowledged
