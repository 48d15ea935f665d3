"""SHELL: heart rates flow in, alerts become rows, the sender mails them, pages tell how it is."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

from deloton.errors import SettingsError
from deloton.running.alert_links import AlertLinks
from deloton.running.health import Health
from deloton.running.pages import serve_pages
from deloton.store import database
from deloton.wire.mail import open_mailer
from hr_alerter import metrics
from hr_alerter.alerts import MailKind
from hr_alerter.feedback_queue import FeedbackQueue
from hr_alerter.feedback_reader import FeedbackReader
from hr_alerter.mails import make_composer
from hr_alerter.ownership import Leases, Owner
from hr_alerter.sender import Sender, SendingRules
from hr_alerter.settings import AlerterSettings
from hr_alerter.watcher import Watcher

POOL_SIZE = 5
# Each question takes milliseconds: a server that does not answer by then will not.
ANSWER_WITHIN_S = 3.0


class Runs(Protocol):
    """A part of the alerter: it runs until it is stopped, and ends once what it does is done."""

    async def run(self) -> None:
        """Run until `stop`."""

    def stop(self) -> None:
        """Begin nothing any more."""


async def run(settings: AlerterSettings) -> None:
    """Run until SIGTERM or SIGINT; what is with the mail provider then comes to its end.

    Raises `SettingsError` where the pages' port is taken.
    """
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    health = Health()
    async with connected(settings, health) as (watcher, others):
        port = settings.metrics_port
        try:
            pages = await serve_pages(
                settings.listen_address,
                port,
                lambda: health.report(watcher.partitions),
                metrics.FAILING_SECONDS,
            )
        except OSError as error:
            raise SettingsError(
                f"METRICS_PORT {port} cannot be listened on: {error.strerror}"
            ) from error
        try:
            await run_until(stopped, [watcher, *others], settings.finish_within_s)
        finally:
            await pages.cleanup()


@contextlib.asynccontextmanager
async def connected(
    settings: AlerterSettings, health: Health
) -> AsyncIterator[tuple[Watcher, list[Runs]]]:
    """What watches, mails and hears of mails, with the database's pool and the ways that they need.

    Mails are heard of where their provider has a queue for it.
    """
    pool = await database.connect_pool(
        settings.database_url.get_secret_value(),
        size=POOL_SIZE,
        application="hr-alerter",
        answer_within_s=ANSWER_WITHIN_S,
    )
    mailer = open_mailer(
        settings.mail_url.get_secret_value(),
        aws_endpoint_url=settings.aws_endpoint_url,
        connections=settings.mail_connections,
        answer_within_s=settings.mail_answer_within_s,
    )
    compose = make_composer(
        settings.mail_from, settings.alert_reply_to, ZoneInfo(settings.time_zone), links(settings)
    )
    leases = Leases(sending=timedelta(seconds=2 * settings.mail_answer_within_s))
    owners = {kind: Owner(pool, leases, kind) for kind in MailKind}
    try:
        async with mailer as way_out:
            sender = Sender(owners, way_out, compose, _sending_rules(settings), health)
            watcher = Watcher(settings, health, pool, sender.wake)
            with feedback_queue(settings) as queue:
                readers = [FeedbackReader(queue, pool, health)] if queue else []
                yield watcher, [sender, *readers]
    finally:
        # What is still under way may wait for a database that is away.
        pool.terminate()


def links(settings: AlerterSettings) -> AlertLinks | None:
    """What makes the links of mails, if they are to have any."""
    url = settings.alert_link_url
    return AlertLinks(settings.link_keys, url) if url else None


@contextlib.contextmanager
def feedback_queue(settings: AlerterSettings) -> Iterator[FeedbackQueue | None]:
    """The queue of what SES tells of mails, if there is one."""
    url, region = settings.mail_feedback_queue_url, settings.ses_region
    if not url or not region:
        yield None
        return
    with contextlib.closing(FeedbackQueue(url, region, settings.aws_endpoint_url)) as queue:
        yield queue


def _sending_rules(settings: AlerterSettings) -> SendingRules:
    return SendingRules(
        settings.mail_rate_per_s,
        settings.mail_connections,
        timedelta(seconds=settings.alert_max_age_s),
        settings.mail_answer_within_s,
    )


async def run_until(stopped: asyncio.Event, parts: Sequence[Runs], finish_within_s: float) -> None:
    """Run all parts; once stopped, let them finish. Raises what ended any of them before."""
    running = {asyncio.create_task(part.run()) for part in parts}
    stopping = asyncio.create_task(stopped.wait())
    await asyncio.wait({*running, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    for part in parts:
        part.stop()
    await asyncio.wait(running, timeout=finish_within_s)
    for task in running:
        task.cancel()
    for ended in await asyncio.gather(*running, return_exceptions=True):
        if isinstance(ended, Exception):
            raise ended
