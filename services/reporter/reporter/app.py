"""SHELL: runs the reports that were asked for, and tells operations of each that failed."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import asyncpg
from msgspec import Struct

from deloton.errors import DelotonError, MailError
from deloton.rules.calendar import ONE_DAY, day_of, days_from
from deloton.running.cloudwatch import tell_done
from deloton.running.logs import get_logger
from deloton.running.retries import until_it_works
from deloton.store import database
from deloton.wire.mail import Mailer, open_mailer
from reporter.archive import Archive
from reporter.days import Edition, Period, day_in, week_in
from reporter.delivery import Keep, Outcome, Outlets, Report, deliver, prepare, send_patiently
from reporter.errors import DatabaseAway, ReportUncertain
from reporter.message import compose_failure, file_name
from reporter.settings import CountingSettings, ReporterSettings

_log = get_logger(__name__)

# Nobody sits before a run that a scheduler starts, and a database that is moved is back by then.
UNATTENDED_PATIENCE_S: Final = 300.0
# For whoever asked for a report and waits for it.
ASKED_PATIENCE_S: Final = 60.0
# A week of a large fleet is counted in less.
ANSWER_WITHIN_S: Final = 300.0
OPERATIONS_PATIENCE_S: Final = 30.0
# Before this day no bike told of anything; far before it the calendar itself ends.
EARLIEST_ON: Final = date(1970, 1, 1)

_ADVICE: Final = (
    "The log of this run says more. Once the cause is mended, run "
    "`python -m reporter {options}`; it sends only what was not sent."
)
_ADVICE_UNCERTAIN: Final = (
    "Nothing more was sent. Ask whether the report arrived: if it did not, run "
    "`python -m reporter {options} --resend`."
)


class Done(Struct, frozen=True):
    """A report and what became of it; `failure` says why it failed, `outcome` is then None."""

    edition: Edition
    on: date
    outcome: Outcome | None = None
    failure: str | None = None


class NotOverYet(DelotonError):
    """A period that still goes on, or has not begun, is not reported on."""


def periods_asked_for(
    zone: ZoneInfo,
    now: datetime,
    on: date | None = None,
    first_on: date | None = None,
    last_on: date | None = None,
    weekly: bool = False,
) -> list[Period]:
    """The periods of a command: one, or each from the first to the last; else the newest.

    The newest is yesterday, or the last whole week. Raises `NotOverYet`, and `ValueError` for
    what cannot be meant together.
    """
    make = week_in if weekly else day_in
    newest = make(zone, day_of(now, zone)).before(1)
    if on and (first_on or last_on):
        raise ValueError("say one date, or from and to, not both")
    if last_on and not first_on:
        raise ValueError("to which day is said, but not from which")
    first, last = first_on or on or newest.on, last_on or on or newest.last_on
    if last < first:
        raise ValueError(f"{first} to {last} holds no day")
    if first < EARLIEST_ON:
        raise ValueError(f"{first}: there are no reports of days before {EARLIEST_ON.year}")
    if last > newest.last_on:
        raise NotOverYet(f"{newest.edition} report of {last}: it is not over yet")
    return list(dict.fromkeys(make(zone, day) for day in days_from(first, last)))


async def draw(
    settings: CountingSettings,
    periods: Sequence[Period],
    out: Path | None,
    *,
    patience_s: float = ASKED_PATIENCE_S,
) -> list[Path]:
    """Draw reports into files and send nothing; return where they lie, the current folder if None.

    One report goes to the file `out`, several into the folder `out`. Raises `DatabaseAway` where
    no database answers within `patience_s`.
    """
    async with _connected(settings, patience_s) as connection:
        return [
            await _write(await prepare(connection, period), out, alone=len(periods) == 1)
            for period in periods
        ]


async def send(
    settings: ReporterSettings,
    periods: Sequence[Period],
    *,
    resend: bool = False,
    out: Path | None = None,
    on_done: Callable[[Done], None] = lambda _: None,
    patience_s: float = UNATTENDED_PATIENCE_S,
) -> list[Done]:
    """Deliver reports one after another; one that fails does not keep the next from going out.

    Where no database answers within `patience_s`, all of them fail.
    """
    async with AsyncExitStack() as stack:
        try:
            outlets = await _open(settings, stack, patience_s)
        except DatabaseAway as away:
            _log.exception("the reports could not be begun")
            why = str(away)
            done = [Done(period.edition, period.on, failure=why) for period in periods]
            await _tell_operations(settings, periods, why, _ADVICE)
            for one in done:
                on_done(one)
            return done
        alone = len(periods) == 1
        keep = partial(_keep, out=out, alone=alone) if out else None
        results = []
        for period in periods:
            results.append(await _deliver_or_tell(outlets, period, resend, keep))
            _tell_cloudwatch(settings, results[-1])
            on_done(results[-1])
        return results


async def _deliver_or_tell(
    outlets: Outlets, period: Period, resend: bool, keep: Keep | None
) -> Done:
    facts = {"edition": str(period.edition), "on": period.on.isoformat()}
    try:
        outcome = await deliver(outlets, period, resend=resend, keep=keep)
    except Exception as error:  # noqa: BLE001 - whatever it was, operations hear of it
        _log.exception("report failed", **facts)
        # Others' words may hold a row: only ours are mailed.
        why = str(error) if isinstance(error, DelotonError) else type(error).__name__
        advice = _ADVICE_UNCERTAIN if isinstance(error, ReportUncertain) else _ADVICE
        await _tell_operations(outlets.settings, [period], why, advice)
        return Done(period.edition, period.on, failure=why)
    _log.info("report done", outcome=outcome, **facts)
    return Done(period.edition, period.on, outcome)


def _tell_cloudwatch(settings: ReporterSettings, done: Done) -> None:
    """Tell of yesterday's report alone: an older one must not hide that it is missing."""
    yesterday = day_of(now_utc(), ZoneInfo(settings.time_zone)) - ONE_DAY
    is_out = done.outcome in {Outcome.SENT, Outcome.ARCHIVED, Outcome.ALREADY_SENT}
    if is_out and (done.edition, done.on) == (Edition.DAILY, yesterday):
        tell_done(settings.cloudwatch_namespace, "reporter")


async def _tell_operations(
    settings: ReporterSettings, periods: Sequence[Period], why: str, advice: str
) -> None:
    first, last = periods[0], periods[-1]
    options = f"--date {first.on}" if first is last else f"--from {first.on} --to {last.last_on}"
    options += " --week" if first.edition is Edition.WEEKLY else ""
    until = "" if first is last else f" to {last.on}"
    message = compose_failure(
        f"{first.edition} report of {first.on}{until}",
        why,
        advice.format(options=options),
        sender=settings.mail_from,
        recipients=settings.operations_email,
    )
    try:
        async with _mailer(settings) as mailer:
            await send_patiently(mailer, message, OPERATIONS_PATIENCE_S)
    except MailError as error:
        # The exit code, the log and the alarm on both are what is left.
        _log.error("operations could not be told", error=str(error))


async def _open(settings: ReporterSettings, stack: AsyncExitStack, patience_s: float) -> Outlets:
    connection = await stack.enter_async_context(_connected(settings, patience_s))
    mailer = await stack.enter_async_context(_mailer(settings))
    archive = None
    if settings.report_bucket:
        archive = Archive(settings.report_bucket, settings.aws_region, settings.aws_endpoint_url)
    return Outlets(settings, connection, mailer, archive)


def _mailer(settings: ReporterSettings) -> AbstractAsyncContextManager[Mailer]:
    return open_mailer(
        settings.mail_url.get_secret_value(),
        aws_endpoint_url=settings.aws_endpoint_url,
        connections=1,
    )


@asynccontextmanager
async def _connected(
    settings: CountingSettings, patience_s: float
) -> AsyncIterator[asyncpg.Connection]:
    """A connection of this run's own; waits for a database that is away, but not for ever."""
    connection = await _connect(settings.database_url.get_secret_value(), patience_s)
    try:
        yield connection
    finally:
        await connection.close(timeout=5)


async def _connect(url: str, patience_s: float) -> asyncpg.Connection:
    tried: list[str] = []

    async def connect() -> asyncpg.Connection:
        try:
            return await database.connect(
                url, application="reporter", answer_within_s=ANSWER_WITHIN_S
            )
        except (OSError, asyncpg.PostgresError) as error:
            tried.append(type(error).__name__)
            raise

    try:
        async with asyncio.timeout(patience_s):
            return await until_it_works("database", connect, passes_by_itself=database.is_transient)
    except (TimeoutError, asyncpg.PostgresError) as error:
        raise DatabaseAway(_address(url), tried, patience_s) from error


def _address(url: str) -> str:
    """Host, port and database of a URL, without who logs in and the password."""
    parts = urlsplit(url)
    return f"{parts.netloc.rpartition('@')[2]}{parts.path}"


async def _keep(report: Report, *, out: Path, alone: bool) -> None:
    await _write(report, out, alone=alone)


async def _write(report: Report, out: Path | None, *, alone: bool) -> Path:
    return await asyncio.to_thread(_write_file, report, out, alone)


def _write_file(report: Report, out: Path | None, alone: bool) -> Path:
    path = out or Path()
    if not alone or path.is_dir():
        path /= f"{file_name(report.summary)}.pdf"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(report.pdf)
    return path


def now_utc() -> datetime:
    """The present moment."""
    return datetime.now(UTC)
