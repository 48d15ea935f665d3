"""The running alerter: heart rates in, mails and rows out, whatever happens to it."""

import asyncio
import json
import random
import signal
import socket
from collections import Counter
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import aiohttp
import pytest

from deloton.rules.sandbox import FIRST_SANDBOX_RIDER_ID
from demo.inbox import serve_smtp
from demo.mail_folder import MailFolder
from demo.ports import free_port
from tests.integration.hr_alerter.alerter_site import (
    CRITICAL,
    HIGH,
    LOW,
    WELL,
    AlerterSite,
    eventually,
)
from tests.integration.hr_alerter.forked_alerter import Original

KILLS = 20
# So many mails keep three alerters busy, and are sent soon after the last kill.
MOST_WAIT = 40


@pytest.mark.embedded
async def test_a_racing_heart_is_mailed_with_its_row(site: AlerterSite) -> None:
    ride_id = await site.a_ride()
    site.start_alerter()
    await site.send(ride_id, WELL, HIGH, HIGH, HIGH, HIGH, ago_s=20)
    await site.until_settled(1)
    columns = "level, state, heart_rate_bpm, limit_bpm, attempts, provider_message_id, rider_id"
    assert await site.rows(columns) == [("high", "sent", HIGH, 166.0, 1, "ses-1", 7001)]
    [(latency_ms, rule, took)] = await site.rows("latency_ms, limit_rule, settled_at - measured_at")
    assert 6_000 < latency_ms <= took / timedelta(milliseconds=1)
    assert "208 − 0.7 × age" in rule
    [mail] = site.ses.accepted
    assert mail.message["Subject"] == "Ease off: your heart rate is high, 170 bpm"
    assert mail.to == ("rider7001@example.com",)


@pytest.mark.embedded
async def test_low_high_and_critical_are_mailed_once_each(site: AlerterSite) -> None:
    ride_id = await site.a_ride()
    site.start_alerter()
    await site.send(ride_id, *[LOW] * 4, *[HIGH] * 4, *[CRITICAL] * 4, *[HIGH] * 4, ago_s=40)
    await site.until_settled(3)
    assert await site.rows() == [("low", "sent"), ("high", "sent"), ("critical", "sent")]


async def test_messages_read_again_repeat_nothing(site: AlerterSite) -> None:
    ride_id = await site.a_ride()
    site.start_alerter()
    first_at = datetime.now(UTC) - timedelta(seconds=9)
    samples = site.readings(ride_id, *[HIGH] * 4, rider_id=7001, first_at=first_at)
    await site.produce(samples)
    await site.until_settled(1)
    site.alerters[0].kill()
    site.start_alerter(ALERTER_GROUP=f"{site.topic}-anew")
    await site.produce(samples)
    other = await site.a_ride(7002)
    await site.send(other, *[HIGH] * 3, rider_id=7002)
    await site.until_settled(2)
    assert site.mails() == {"rider7001@example.com": 1, "rider7002@example.com": 1}


@pytest.mark.embedded
async def test_no_address_too_old_and_refused_end_as_such_and_hold_up_nobody(
    site: AlerterSite,
) -> None:
    site.ses.trouble = lambda to: "MessageRejected" if "7003" in to else None
    unknown = await site.a_ride(None, bike_serial="SN1")
    no_mail = await site.a_ride(7001, email=None)
    refused = await site.a_ride(7003)
    late = await site.a_ride(7004)
    good = await site.a_ride(7005)
    site.start_alerter()
    await site.send(unknown, *[200] * 3, rider_id=None)
    await site.send(no_mail, *[HIGH] * 3, rider_id=7001)
    await site.send(refused, *[HIGH] * 3, rider_id=7003)
    await site.send(late, *[HIGH] * 3, rider_id=7004, ago_s=3_700)
    await site.send(good, *[HIGH] * 3, rider_id=7005)
    await site.until_settled(5)
    assert dict(await site.rows("ride_id, state")) == {
        unknown: "undeliverable",
        no_mail: "undeliverable",
        refused: "failed",
        late: "expired",
        good: "sent",
    }
    assert site.mails() == {"rider7005@example.com": 1}


@pytest.mark.embedded
async def test_an_alert_that_is_pending_at_the_start_is_sent_while_it_is_fresh(
    site: AlerterSite,
) -> None:
    fresh, old = await site.a_ride(7001), await site.a_ride(7002)
    insert = """
        INSERT INTO heart_rate_alerts (ride_id, rider_id, level, measured_at, heart_rate_bpm,
                                       limit_bpm, limit_rule, state)
        VALUES ($1, $2, 'high', now() - $3::interval, 150, 145, 'x', 'pending')
    """
    await site.database.execute(insert, fresh, 7001, timedelta(seconds=60))
    await site.database.execute(insert, old, 7002, timedelta(seconds=3_601))
    site.start_alerter()
    await site.until_settled(2)
    assert dict(await site.rows("ride_id, state")) == {fresh: "sent", old: "expired"}


@pytest.mark.embedded
async def test_an_alert_of_the_sandbox_that_expires_is_counted_as_no_real_riders(
    site: AlerterSite,
) -> None:
    rider_id = FIRST_SANDBOX_RIDER_ID + 1
    ride_id = await site.a_ride(rider_id, bike_serial="SANDBOX0001")
    site.start_alerter()
    await site.send(ride_id, *[HIGH] * 3, rider_id=rider_id, ago_s=3_700)
    await site.until_settled(1)
    expired = 'hr_alerter_alerts_total{level="high",state="expired",whose='

    async def counted() -> bool:
        page = await site.page("/metrics")
        return f'{expired}"sandbox"}} 1.0' in page and f'{expired}"rider"}} 0.0' in page

    await eventually(counted)


@pytest.mark.embedded
async def test_throttling_and_an_outage_are_waited_for(site: AlerterSite) -> None:
    answers = iter(["TooManyRequestsException"] * 2 + ["InternalServiceErrorException"] * 2)
    site.ses.trouble = lambda _: next(answers, None)
    ride_id = await site.a_ride()
    site.start_alerter()
    await site.send(ride_id, *[HIGH] * 3)
    await site.until_settled(1)
    assert await site.rows("state, attempts") == [("sent", 5)]
    waits = [b - a for a, b in zip(site.ses.asked_at, site.ses.asked_at[1:], strict=False)]
    assert waits[0] < waits[-1]


@pytest.mark.embedded
async def test_what_nobody_takes_while_it_is_of_use_has_expired(site: AlerterSite) -> None:
    site.ses.trouble = lambda _: "TooManyRequestsException"
    ride_id = await site.a_ride()
    site.start_alerter()
    await site.send(ride_id, *[HIGH] * 3)

    async def tried_twice() -> bool:
        return len(site.ses.asked_at) > 1

    await eventually(tried_twice)
    await site.grow_old()
    await site.until_settled(1)
    [(state, attempts)] = await site.rows("state, attempts")
    assert state == "expired"
    assert attempts > 1


async def test_two_alerters_share_the_work_and_go_on_when_one_is_killed(site: AlerterSite) -> None:
    rides = [await site.a_ride(7000 + number) for number in range(8)]
    site.start_alerter()
    site.start_alerter()
    await eventually(lambda: shares(site, [2, 2]))
    began = datetime.now(UTC) - timedelta(seconds=10)
    for number, ride_id in enumerate(rides):
        where = {"rider_id": 7000 + number, "partition": number % 4}
        await site.send(ride_id, HIGH, HIGH, first_at=began, **where)
    # One in the middle of every episode: the other has to begin it anew.
    await asyncio.sleep(1)
    site.alerters[0].kill()
    for number, ride_id in enumerate(rides):
        where = {"rider_id": 7000 + number, "partition": number % 4}
        await site.send(ride_id, HIGH, first_at=began + timedelta(seconds=2), **where)
    await site.until_settled(8)
    assert set(site.mails().values()) == {1}


async def test_a_partition_that_is_handed_over_loses_no_episode(site: AlerterSite) -> None:
    rides = [await site.a_ride(7000 + number) for number in range(8)]
    site.start_alerter()
    began = datetime.now(UTC) - timedelta(seconds=10)
    for number, ride_id in enumerate(rides):
        where = {"rider_id": 7000 + number, "partition": number % 4}
        await site.send(ride_id, HIGH, HIGH, first_at=began, **where)
    await eventually(lambda: shares(site, [4]))
    site.start_alerter()
    await eventually(lambda: shares(site, [2, 2]))
    for number, ride_id in enumerate(rides):
        where = {"rider_id": 7000 + number, "partition": number % 4}
        await site.send(ride_id, HIGH, first_at=began + timedelta(seconds=2), **where)
    await site.until_settled(8)
    assert set(site.mails().values()) == {1}


async def shares(site: AlerterSite, sizes: list[int]) -> bool:
    """Whether the alerters have so many partitions each."""
    try:
        pages = [await site.page("/health", number) for number in range(len(sizes))]
    except OSError:
        return False
    found = [len(json.loads(page)["assigned_partitions"]) for page in pages]
    return found == sizes


async def test_what_is_no_heart_rate_is_left_out_and_counted(site: AlerterSite) -> None:
    ride_id = await site.a_ride()
    site.start_alerter()
    await site.produce_raw([b"", b"{}", b"\xff", b'{"ride_id":"x"}'])
    await site.send(ride_id, *[HIGH] * 3)
    await site.until_settled(1)
    assert "hr_alerter_unreadable_messages_total 4.0" in await site.page("/metrics")

    async def counted() -> bool:
        sample = 'hr_alerter_alerts_total{level="high",state="sent",whose="rider"} 1.0'
        return sample in await site.page("/metrics")

    # The row is settled first, then counted.
    await eventually(counted)


@pytest.mark.embedded
async def test_a_danger_that_began_too_long_ago_is_told_of_while_it_lasts(
    site: AlerterSite,
) -> None:
    """At first it comes too late, and later in the same batch it is stored anew."""
    ride_id = await site.a_ride()
    await site.send(ride_id, *[CRITICAL] * 150, ago_s=150)
    site.start_alerter(ALERT_MAX_AGE_S="120")
    await site.until_settled(1)
    assert await site.states() == {"sent": 1}
    assert "hr_alerter_suppressed_alerts_total 0.0" in await site.page("/metrics")


async def test_own_limits_count_and_alerts_that_are_off_stay_off(site: AlerterSite) -> None:
    own, off = await site.a_ride(7001), await site.a_ride(7002)
    insert = "INSERT INTO rider_limits (rider_id, high_bpm, alerts_on) VALUES ($1, $2, $3)"
    await site.database.executemany(insert, [(7001, WELL, True), (7002, None, False)])
    site.start_alerter()
    await site.send(off, *[CRITICAL] * 4, rider_id=7002)
    await site.send(own, *[WELL] * 3)
    await site.until_settled(1)
    assert await site.rows("ride_id, level, limit_rule") == [(own, "high", "your own limit")]


@pytest.mark.embedded
async def test_mails_go_out_by_smtp_too(site: AlerterSite, tmp_path: Path) -> None:
    inbox, port = MailFolder(tmp_path / "mails"), free_port()
    server = await serve_smtp(inbox, port)
    ride_id = await site.a_ride()
    site.start_alerter(MAIL_URL=f"smtp://127.0.0.1:{port}")
    await site.send(ride_id, *[LOW] * 3)
    await site.until_settled(1)
    server.close()
    [mail] = inbox.newest(5)
    assert mail.subject == "Your heart rate is unusually low: 44 bpm"
    [(message_id,)] = await site.rows("provider_message_id")
    assert message_id.startswith("<heart-rate-alert-")


@pytest.mark.embedded
async def test_mails_reach_another_emulation_of_ses(site: AlerterSite) -> None:
    port = free_port()
    moto = site.start_beside("moto.server", "--host", "127.0.0.1", "--port", str(port))
    url = f"http://127.0.0.1:{port}"
    ride_id = await site.a_ride()
    # While the emulation is not up yet, or does not know us, mails are tried again.
    site.start_alerter(AWS_ENDPOINT_URL=url)
    await site.send(ride_id, *[HIGH] * 3)
    await eventually(lambda: is_our_identity_known(url))
    await site.until_settled(1)
    moto.kill()
    [(state, message_id)] = await site.rows("state, provider_message_id")
    assert state == "sent"
    assert message_id


async def is_our_identity_known(url: str) -> bool:
    """Ask the emulation to know our domain; whether it does."""
    try:
        async with (
            aiohttp.ClientSession() as session,
            session.post(
                f"{url}/v2/email/identities",
                json={"EmailIdentity": "deloton.example"},
                headers={"Authorization": "AWS4-HMAC-SHA256 Credential=t/2/eu-west-2/ses/x"},
            ) as answer,
        ):
            return answer.status == 200
    except OSError:
        return False


@pytest.mark.embedded
async def test_an_alert_survives_connections_that_the_database_cuts(site: AlerterSite) -> None:
    rides = [await site.a_ride(7000 + number) for number in range(6)]
    site.start_alerter()
    for number, ride_id in enumerate(rides):
        await site.send(ride_id, *[HIGH] * 3, rider_id=7000 + number)
        await site.database.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name LIKE 'hr-alerter%' AND datname = current_database()"
        )
    await site.until_settled(6)
    assert await site.states() == {"sent": 6}
    assert set(site.mails()) == {f"rider{7000 + number}@example.com" for number in range(6)}


@pytest.mark.embedded
async def test_a_taken_port_and_missing_settings_are_sentences(site: AlerterSite) -> None:
    alerter = site.start_alerter(MAIL_URL="", MAIL_FROM="")
    assert await alerter.wait() == 1
    assert "MAIL_URL" in alerter.log_file.read_text()
    assert "MAIL_FROM" in alerter.log_file.read_text()
    with socket.create_server(("", 0)) as taken:
        alerter = site.start_alerter(METRICS_PORT=str(taken.getsockname()[1]))
        assert await alerter.wait() == 1
    assert "cannot be listened on" in alerter.log_file.read_text()


async def test_sigterm_ends_it_cleanly(site: AlerterSite) -> None:
    alerter = site.start_alerter()
    await eventually(lambda: shares(site, [4]))
    alerter.signal(signal.SIGTERM)
    assert await alerter.wait() == 0
    assert "Traceback" not in alerter.log_file.read_text()
    assert '"level": "error"' not in alerter.log_file.read_text()


@pytest.mark.embedded
async def test_twenty_kills_lose_no_alert_and_repeat_at_most_one_mail_each(
    site: AlerterSite,
) -> None:
    """Three alerters; one that is up is killed and replaced, again and again, with its mail out."""
    random_ = random.Random(20)
    site.ses.answers_after_s = 0.05
    fed = Feeder(site)
    feeding = asyncio.create_task(fed.feed())
    killed = set[int]()
    with Original() as original:
        copy = partial(site.start_copy, original, MAIL_ANSWER_WITHIN_S="8", MAIL_CONNECTIONS="1")
        for _ in range(3):
            copy()
        while len(killed) < KILLS:
            victim = await one_that_is_up(site, random_, killed)
            mails = len(site.ses.asked_at)
            await eventually(partial(more_asked, site, mails))
            await asyncio.sleep(random_.uniform(0, 0.06))
            site.alerters[victim].kill()
            killed.add(victim)
            copy()
        fed.enough = True
        await feeding
        await site.until_settled(fed.rides)
    # A busy machine may answer too late: then nobody knows, but the mail has arrived.
    assert set(await site.states()) <= {"sent", "unknown"}
    assert len(site.mails()) == fed.rides
    repeats = Counter(int(before.by) for before, _ in site.mails_that_came_again())
    assert set(repeats) <= killed
    assert max(repeats.values(), default=0) <= 1


async def one_that_is_up(site: AlerterSite, random_: random.Random, killed: set[int]) -> int:
    """The number of one that answers."""
    while True:
        number = random_.randrange(len(site.alerters))
        if number not in killed and await site.answers(number):
            return number
        await asyncio.sleep(0.02)


async def more_asked(site: AlerterSite, than: int) -> bool:
    return len(site.ses.asked_at) > than


class Feeder:
    """New rides with an episode, again and again: through Kafka, and stored already."""

    def __init__(self, site: AlerterSite) -> None:
        self.site = site
        self.rides = 0
        self.enough = False

    async def feed(self) -> None:
        while not self.enough:
            if self.rides - len(self.site.ses.accepted) < MOST_WAIT:
                await self._feed()
            await asyncio.sleep(0.1)

    async def _feed(self) -> None:
        rider_id = 8000 + self.rides
        ride_id = await self.site.a_ride(rider_id)
        await self.site.send(
            ride_id,
            *(WELL, HIGH, HIGH, HIGH, WELL),
            ago_s=5,
            rider_id=rider_id,
            partition=self.rides % 4,
        )
        await self.site.pending_alerts(5, first=rider_id + 1)
        self.rides += 6
