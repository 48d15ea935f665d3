"""The running alerter: heart rates in, mails and rows out, whatever happens to it."""

import asyncio
import json
import random
import signal
import socket
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest

from deloton.events import HeartRate
from demo.inbox import serve_smtp
from demo.mail_folder import MailFolder
from demo.ports import free_port
from tests.integration.hr_alerter.alerter_site import CRITICAL, HIGH, LOW, WELL, AlerterSite

pytestmark = pytest.mark.timeout(120)


async def eventually(true: Callable[[], Awaitable[bool]], within_s: float = 30.0) -> None:
    """Ask again and again; TimeoutError if it does not come true."""
    async with asyncio.timeout(within_s):
        while not await true():
            await asyncio.sleep(0.05)


async def until_settled(site: AlerterSite, count: int, within_s: float = 30.0) -> None:
    """Return once there are so many alerts, none of them pending."""

    async def settled() -> bool:
        states = await site.states()
        return states.total() >= count and not states["pending"]

    try:
        await eventually(settled, within_s)
    except TimeoutError:
        logs = [line for one in site.alerters for line in one.last_lines(30)]
        raise AssertionError(f"{await site.rows()}\n{logs}") from None


async def test_a_racing_heart_is_mailed_with_its_row(site: AlerterSite) -> None:
    ride_id = await site.a_ride()
    site.start_alerter()
    await site.send(ride_id, WELL, HIGH, HIGH, HIGH, HIGH)
    await until_settled(site, 1)
    columns = "level, state, heart_rate_bpm, limit_bpm, attempts, provider_message_id, rider_id"
    assert await site.rows(columns) == [("high", "sent", HIGH, 145.0, 1, "ses-1", 7001)]
    [(latency_ms, rule)] = await site.rows("latency_ms, limit_rule")
    assert 6_000 < latency_ms < 40_000
    assert "208 − 0.7 × age" in rule
    [mail] = site.ses.accepted
    assert mail.message["Subject"] == "Ease off: your heart rate is high, 150 bpm"
    assert mail.to == ("rider7001@example.com",)


async def test_low_high_and_critical_are_mailed_once_each(site: AlerterSite) -> None:
    ride_id = await site.a_ride()
    site.start_alerter()
    await site.send(ride_id, *[LOW] * 4, *[HIGH] * 4, *[CRITICAL] * 4, *[HIGH] * 4, ago_s=20)
    await until_settled(site, 3)
    assert await site.rows() == [("low", "sent"), ("high", "sent"), ("critical", "sent")]


async def test_messages_read_again_repeat_nothing(site: AlerterSite) -> None:
    ride_id = await site.a_ride()
    site.start_alerter()
    now = datetime.now(UTC)
    samples = [HeartRate(ride_id, 7001, now - timedelta(seconds=9 - n), HIGH) for n in range(4)]
    await site.produce(samples)
    await until_settled(site, 1)
    site.alerters[0].kill()
    site.start_alerter(ALERTER_GROUP=f"{site.topic}-anew")
    await site.produce(samples)
    other = await site.a_ride(7002)
    await site.send(other, *[HIGH] * 3, rider_id=7002)
    await until_settled(site, 2)
    assert site.mails() == {"rider7001@example.com": 1, "rider7002@example.com": 1}


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
    await site.send(unknown, *[190] * 3, rider_id=None)
    await site.send(no_mail, *[HIGH] * 3, rider_id=7001)
    await site.send(refused, *[HIGH] * 3, rider_id=7003)
    await site.send(late, *[HIGH] * 3, rider_id=7004, ago_s=150)
    await site.send(good, *[HIGH] * 3, rider_id=7005)
    await until_settled(site, 5)
    assert dict(await site.rows("ride_id, state")) == {
        unknown: "undeliverable",
        no_mail: "undeliverable",
        refused: "failed",
        late: "expired",
        good: "sent",
    }
    assert site.mails() == {"rider7005@example.com": 1}


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
    await site.database.execute(insert, old, 7002, timedelta(seconds=121))
    site.start_alerter()
    await until_settled(site, 2)
    assert dict(await site.rows("ride_id, state")) == {fresh: "sent", old: "expired"}


async def test_throttling_and_an_outage_are_waited_for(site: AlerterSite) -> None:
    answers = iter(["TooManyRequestsException"] * 2 + ["InternalServiceErrorException"] * 2)
    site.ses.trouble = lambda _: next(answers, None)
    ride_id = await site.a_ride()
    site.start_alerter()
    await site.send(ride_id, *[HIGH] * 3)
    await until_settled(site, 1)
    assert await site.rows("state, attempts") == [("sent", 5)]
    waits = [b - a for a, b in zip(site.ses.asked_at, site.ses.asked_at[1:], strict=False)]
    assert waits[0] < waits[-1]


async def test_after_the_last_attempt_an_alert_has_failed(site: AlerterSite) -> None:
    site.ses.trouble = lambda _: "TooManyRequestsException"
    ride_id = await site.a_ride()
    site.start_alerter(MAIL_ATTEMPTS="2")
    await site.send(ride_id, *[HIGH] * 3)
    await until_settled(site, 1)
    assert await site.rows("state, attempts") == [("failed", 2)]


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
    await until_settled(site, 8)
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
    await until_settled(site, 8)
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
    await until_settled(site, 1)
    assert "hr_alerter_unreadable_messages_total 4.0" in await site.page("/metrics")

    async def counted() -> bool:
        sample = 'hr_alerter_alerts_total{level="high",state="sent"} 1.0'
        return sample in await site.page("/metrics")

    # The row is settled first, then counted.
    await eventually(counted)


async def test_own_limits_count_and_alerts_that_are_off_stay_off(site: AlerterSite) -> None:
    own, off = await site.a_ride(7001), await site.a_ride(7002)
    insert = "INSERT INTO rider_limits (rider_id, high_bpm, alerts_on) VALUES ($1, $2, $3)"
    await site.database.executemany(insert, [(7001, WELL, True), (7002, None, False)])
    site.start_alerter()
    await site.send(off, *[CRITICAL] * 4, rider_id=7002)
    await site.send(own, *[WELL] * 3)
    await until_settled(site, 1)
    assert await site.rows("ride_id, level, limit_rule") == [(own, "high", "your own limit")]


async def test_mails_go_out_by_smtp_too(site: AlerterSite, tmp_path: Path) -> None:
    inbox, port = MailFolder(tmp_path / "mails"), free_port()
    server = await serve_smtp(inbox, port)
    ride_id = await site.a_ride()
    site.start_alerter(MAIL_URL=f"smtp://127.0.0.1:{port}")
    await site.send(ride_id, *[LOW] * 3)
    await until_settled(site, 1)
    server.close()
    [mail] = inbox.newest(5)
    assert mail.subject == "Your heart rate is unusually low: 44 bpm"
    [(message_id,)] = await site.rows("provider_message_id")
    assert message_id.startswith("<heart-rate-alert-")


async def test_mails_reach_another_emulation_of_ses(site: AlerterSite) -> None:
    port = free_port()
    moto = site.start_beside("moto.server", "--host", "127.0.0.1", "--port", str(port))
    url = f"http://127.0.0.1:{port}"
    ride_id = await site.a_ride()
    # While the emulation is not up yet, or does not know us, mails are tried again.
    site.start_alerter(AWS_ENDPOINT_URL=url)
    await site.send(ride_id, *[HIGH] * 3)
    await eventually(lambda: is_our_identity_known(url))
    await until_settled(site, 1)
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


async def test_an_alert_survives_connections_that_the_database_cuts(site: AlerterSite) -> None:
    rides = [await site.a_ride(7000 + number) for number in range(6)]
    site.start_alerter()
    for number, ride_id in enumerate(rides):
        await site.send(ride_id, *[HIGH] * 3, rider_id=7000 + number)
        await site.database.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name LIKE 'hr-alerter%' AND datname = current_database()"
        )
    await until_settled(site, 6)
    assert await site.states() == {"sent": 6}
    assert set(site.mails()) == {f"rider{7000 + number}@example.com" for number in range(6)}


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


@pytest.mark.timeout(300)
async def test_twenty_kills_lose_no_alert_and_repeat_at_most_one_mail_each(
    site: AlerterSite,
) -> None:
    random_ = random.Random(20)
    site.ses.answers_after_s = 0.05
    sent = Feeder(site)
    feeding = asyncio.create_task(sent.feed())
    killed_at = []
    for _ in range(20):
        alerter = site.start_alerter()
        await asyncio.sleep(random_.uniform(0.7, 4.5))
        killed_at.append(datetime.now(UTC).timestamp())
        alerter.kill()
    site.start_alerter()
    sent.enough = True
    await feeding
    await until_settled(site, sent.rides, within_s=60)
    assert await site.states() == {"sent": sent.rides}
    assert len(site.mails()) == sent.rides
    seen: set[str] = set()
    repeats = Counter[int]()
    for mail in site.ses.accepted:
        if mail.to[0] in seen:
            repeats[sum(moment < mail.at for moment in killed_at)] += 1
        seen.add(mail.to[0])
    assert max(repeats.values(), default=0) <= 1
    assert sent.rides > 60


class Feeder:
    """A new ride with an episode again and again."""

    def __init__(self, site: AlerterSite) -> None:
        self.site = site
        self.rides = 0
        self.enough = False

    async def feed(self) -> None:
        while not self.enough:
            rider_id = 8000 + self.rides
            ride_id = await self.site.a_ride(rider_id)
            await self.site.send(
                ride_id,
                *(WELL, HIGH, HIGH, HIGH, WELL),
                ago_s=5,
                rider_id=rider_id,
                partition=self.rides % 4,
            )
            self.rides += 1
            await asyncio.sleep(0.4)
