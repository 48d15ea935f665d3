"""SHELL: claims pending alerts and mails them, until each is settled one way or another."""

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from typing import Final

import asyncpg
from msgspec import Struct

from deloton import database
from deloton.errors import MailError, MailRefused, MailThrottled
from deloton.health import Health
from deloton.logs import get_logger
from deloton.mail import Mailer, parse_address
from deloton.retries import until_it_works
from hr_alerter import metrics
from hr_alerter.alerts import AlertState, ClaimedAlert
from hr_alerter.claims import Claims
from hr_alerter.outbox import Letter, Outbox
from hr_alerter.store import settle_alert

_log = get_logger(__name__)

# What another alerter left pending is looked for so often; our own alerts wake us.
LOOK_EVERY_S: Final = 1.0
# The most alerts in hand: bounds the memory.
MOST_IN_HAND: Final = 1_000
FIRST_WAIT_S: Final = 0.5
LONGEST_WAIT_S: Final = 15.0
_LARGEST_INTEGER: Final = 2**31 - 1

Compose = Callable[[ClaimedAlert], EmailMessage]


class SendingRules(Struct, frozen=True):
    """How fast, how often and for how long a mail is tried."""

    rate_per_s: float = 14.0
    connections: int = 10
    attempts: int = 12
    max_age: timedelta = timedelta(minutes=2)


def retry_wait_s(attempt: int) -> float:
    """How long to wait after so many attempts: doubles up to 15 s, half of it by chance."""
    longest: float = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** (attempt - 1))
    return longest * random.uniform(0.5, 1.0)  # noqa: S311  not a secret


class Sender:
    """Mails what is pending, whoever stored it."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        claims: Claims,
        mailer: Mailer,
        compose: Compose,
        rules: SendingRules,
        health: Health,
    ) -> None:
        """Describe the way from rows to mails; `run` walks it."""
        self._pool = pool
        self._claims = claims
        self._mailer = mailer
        self._compose = compose
        self._rules = rules
        self._health = health
        self._outbox = Outbox(rules.rate_per_s, rules.connections)
        self._in_hand: set[int] = set()
        self._settled: set[int] = set()
        self._rows_wait = asyncio.Event()
        self._letters_move = asyncio.Event()
        self._stopping = False

    def wake(self) -> None:
        """Say that alerts have been stored."""
        self._rows_wait.set()

    async def run(self) -> None:
        """Claim and send until `stop`; returns once no mail is with the provider any more."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._claim_until_stopped())
                tasks.create_task(self._send_until_stopped(tasks))
        finally:
            await self._claims.close()

    def stop(self) -> None:
        """Begin no mail any more; what waits stays pending."""
        self._stopping = True
        self._rows_wait.set()
        self._letters_move.set()

    async def _claim_until_stopped(self) -> None:
        while not self._stopping:
            self._rows_wait.clear()
            await self._insist_on_database(self._claim)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._rows_wait.wait(), LOOK_EVERY_S)

    async def _claim(self) -> None:
        released = set(self._settled)
        await self._claims.release(released)
        self._settled -= released
        self._in_hand -= released
        claimed = await self._claims.claim(self._in_hand, MOST_IN_HAND - len(self._in_hand))
        if claimed.lost:
            _log.warning("claims lost with the connection", alerts=len(claimed.lost))
            self._outbox.discard(claimed.lost)
            self._in_hand -= claimed.lost
        for alert in claimed.alerts:
            self._in_hand.add(alert.alert_id)
            if (state := self._foregone(alert)) is not None:
                await self._settle(alert, state)
            else:
                self._outbox.add(Letter(alert), time.monotonic())
        if claimed.alerts:
            self._letters_move.set()
        metrics.WAITING.set(len(self._outbox))

    async def _send_until_stopped(self, tasks: asyncio.TaskGroup) -> None:
        while not self._stopping:
            self._letters_move.clear()
            while letter := self._outbox.take(time.monotonic()):
                tasks.create_task(self._try(letter))
            wait_s = self._outbox.wait_s(time.monotonic())
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._letters_move.wait(), wait_s)

    async def _try(self, letter: Letter) -> None:
        try:
            if self._is_too_old(letter.alert, datetime.now(UTC)):
                was_tried = letter.attempt > 1
                state = AlertState.FAILED if was_tried else AlertState.EXPIRED
                await self._settle(letter.alert, state, attempts=letter.attempt - 1)
            else:
                await self._send(letter)
        finally:
            self._outbox.finish(letter)
            self._letters_move.set()

    def _foregone(self, alert: ClaimedAlert) -> AlertState | None:
        """What becomes of an alert that need not be tried."""
        if self._is_too_old(alert, datetime.now(UTC)):
            return AlertState.EXPIRED
        return AlertState.UNDELIVERABLE if parse_address(alert.email) is None else None

    async def _send(self, letter: Letter) -> None:
        alert = letter.alert
        try:
            message_id = await self._mailer.send(self._compose(alert))
        except MailRefused as refusal:
            metrics.ATTEMPTS.labels("refused").inc()
            _log.warning("mail refused", alert_id=alert.alert_id, reason=str(refusal))
            await self._settle(alert, AlertState.FAILED, attempts=letter.attempt)
        except MailError as error:
            await self._try_later(letter, error)
        else:
            latency = datetime.now(UTC) - alert.measured_at
            metrics.ATTEMPTS.labels("accepted").inc()
            metrics.LATENCY_SECONDS.observe(max(0.0, latency.total_seconds()))
            self._health.working("mail")
            await self._settle(
                alert,
                AlertState.SENT,
                attempts=letter.attempt,
                provider_message_id=message_id,
                # A bike's clock may be wrong by any amount.
                latency_ms=min(max(0, latency // timedelta(milliseconds=1)), _LARGEST_INTEGER),
            )

    async def _try_later(self, letter: Letter, error: MailError) -> None:
        alert = letter.alert
        throttled = isinstance(error, MailThrottled)
        metrics.ATTEMPTS.labels("throttled" if throttled else "unavailable").inc()
        if throttled:
            self._outbox.slow_down()
        else:
            self._health.failing("mail")
        wait_s = retry_wait_s(letter.attempt)
        next_at = datetime.now(UTC) + timedelta(seconds=wait_s)
        _log.warning(
            "mail not accepted",
            alert_id=alert.alert_id,
            reason=str(error),
            attempt=letter.attempt,
            wait_s=round(wait_s, 1),
        )
        if letter.attempt >= self._rules.attempts or self._is_too_old(alert, next_at):
            await self._settle(alert, AlertState.FAILED, attempts=letter.attempt)
        elif alert.alert_id in self._in_hand:
            self._outbox.add(Letter(alert, letter.attempt + 1), time.monotonic() + wait_s)

    def _is_too_old(self, alert: ClaimedAlert, moment: datetime) -> bool:
        return moment - alert.measured_at > self._rules.max_age

    async def _settle(
        self,
        alert: ClaimedAlert,
        state: AlertState,
        *,
        attempts: int = 0,
        provider_message_id: str | None = None,
        latency_ms: int | None = None,
    ) -> None:
        await self._insist_on_database(
            lambda: settle_alert(
                self._pool,
                alert.alert_id,
                state,
                attempts=attempts,
                provider_message_id=provider_message_id,
                latency_ms=latency_ms,
            )
        )
        self._settled.add(alert.alert_id)
        metrics.ALERTS.labels(alert.level, state).inc()
        _log.info("alert settled", alert_id=alert.alert_id, level=alert.level, state=state)

    async def _insist_on_database(self, step: Callable[[], Awaitable[None]]) -> None:
        await until_it_works(
            "database",
            step,
            passes_by_itself=database.is_transient,
            on_failure=lambda: self._health.failing("database"),
        )
        self._health.working("database")
