"""SHELL: one report's way: count, draw, mail, archive, and the row that tells how far it came.

The row says `sending`, committed, before the mail goes out, and `sent` once it is accepted. A run
that finds `sending` while nobody holds the report's lock cannot know whether the mail arrived: it
sends nothing and raises `ReportUncertain`. The archive comes after the mail; what is sent and not
archived is archived by the next run, without another mail.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from email.message import EmailMessage
from enum import StrEnum

from msgspec import Struct
from tenacity import (
    AsyncRetrying,
    retry_if_exception,
    stop_after_delay,
    wait_exponential_jitter,
)

from deloton.errors import MailError, MailRefused, MailUnknown
from deloton.running.logs import get_logger
from deloton.store.database import Connection
from deloton.wire.mail import Mailer
from reporter import ledger
from reporter.archive import Archive
from reporter.days import Period
from reporter.document import draw_pdf
from reporter.errors import ReportNotMailed, ReportUncertain
from reporter.message import compose_report
from reporter.queries import count_period
from reporter.settings import ReporterSettings
from reporter.summary import Summary, summarise

_log = get_logger(__name__)


class Outcome(StrEnum):
    """What became of a report that did not fail."""

    SENT = "sent"
    ARCHIVED = "archived"
    ALREADY_SENT = "already sent"
    UNDER_WAY = "under way in another run"


class Report(Struct, frozen=True):
    """A report that is ready."""

    summary: Summary
    pdf: bytes


Keep = Callable[[Report], Awaitable[None]]


class Outlets(Struct, frozen=True):
    """What a delivery needs; `archive` None: reports are not archived.

    `patience_s`: how long a mail is tried again that the provider does not take now.
    """

    settings: ReporterSettings
    connection: Connection
    mailer: Mailer
    archive: Archive | None
    patience_s: float = 120.0


async def prepare(connection: Connection, period: Period) -> Report:
    """Count and draw a report; nothing is sent or stored."""
    summary = summarise(period, await count_period(connection, period))
    written_at = datetime.now(UTC).astimezone(period.zone)
    # In a thread: the connection goes on answering its server meanwhile.
    return Report(summary, await asyncio.to_thread(draw_pdf, summary, written_at))


async def deliver(
    outlets: Outlets,
    period: Period,
    *,
    resend: bool = False,
    keep: Keep | None = None,
) -> Outcome:
    """Bring a report to its readers, once; `resend` sends it whatever was sent before.

    `keep` gets the report before it goes out. Raises a `ReportError`, or what the database says.
    """
    async with ledger.hold(outlets.connection, period) as held:
        if not held:
            return Outcome.UNDER_WAY
        entry = await ledger.find(outlets.connection, period)
        if entry and entry.state == "sending" and not resend:
            raise ReportUncertain(
                "an earlier run ended while the mail was on its way: it may have arrived"
            )
        is_sent = bool(entry and entry.state == "sent" and not resend)
        is_archived = bool(entry and entry.archived and not resend) or outlets.archive is None
        if is_sent and is_archived and keep is None:
            return Outcome.ALREADY_SENT
        report = await prepare(outlets.connection, period)
        if keep:
            await keep(report)
        if not is_sent:
            await _mail(outlets, period, report)
        if outlets.archive is not None and not is_archived:
            await _archive(outlets, outlets.archive, period, report)
        return _outcome(is_sent, is_archived)


def _outcome(was_sent: bool, was_archived: bool) -> Outcome:
    if not was_sent:
        return Outcome.SENT
    return Outcome.ALREADY_SENT if was_archived else Outcome.ARCHIVED


async def _mail(outlets: Outlets, period: Period, report: Report) -> None:
    settings = outlets.settings
    message = compose_report(
        report.summary,
        report.pdf,
        sender=settings.mail_from,
        recipients=settings.ceo_email,
        reply_to=settings.report_reply_to,
    )
    await ledger.begin(outlets.connection, period)
    try:
        message_id = await send_patiently(outlets.mailer, message, outlets.patience_s)
    except MailUnknown as error:
        raise ReportUncertain(
            f"the mail went out and its answer was lost ({error}): it may have arrived"
        ) from error
    except MailError as error:
        await ledger.note_failed(outlets.connection, period, f"mail: {error}")
        raise ReportNotMailed(f"the mail was not accepted: {error}") from error
    await ledger.note_sent(outlets.connection, period, message_id)
    _log.info("report sent", edition=period.edition, on=period.on.isoformat())


async def send_patiently(mailer: Mailer, message: EmailMessage, patience_s: float) -> str:
    """Send a mail; try again, with growing waits, what surely did not arrive and may yet pass."""
    attempts = AsyncRetrying(
        retry=retry_if_exception(_may_pass_later),
        stop=stop_after_delay(patience_s),
        wait=wait_exponential_jitter(multiplier=0.2, max=20, jitter=0.2),
        reraise=True,
    )
    return await attempts(mailer.send, message)


def _may_pass_later(error: BaseException) -> bool:
    return isinstance(error, MailError) and not isinstance(error, MailRefused | MailUnknown)


async def _archive(outlets: Outlets, archive: Archive, period: Period, report: Report) -> None:
    await asyncio.to_thread(archive.put, report.summary, report.pdf)
    async with ledger.hold_index(outlets.connection):
        await asyncio.to_thread(archive.write_index)
    await ledger.note_archived(outlets.connection, period)
    _log.info("report archived", edition=period.edition, on=period.on.isoformat())
