"""SHELL: claims mails and sends them, until each is settled one way or another."""

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from typing import Final, TypeVar

from msgspec import Struct

from deloton.errors import AddressRefused, MailError, MailRefused, MailThrottled, MailUnknown
from deloton.running.addresses import parse_address
from deloton.running.health import Health
from deloton.running.insistence import Insistence
from deloton.running.logs import get_logger
from deloton.store import database
from deloton.wire.mail import Mailer
from hr_alerter import metrics
from hr_alerter.alerts import AlertState, BegunAlert, MailId, MailKind
from hr_alerter.outbox import Letter, Outbox
from hr_alerter.ownership import Expired, Owner

_log = get_logger(__name__)

T = TypeVar("T")

# What another alerter left pending is looked for so often; our own alerts wake us.
LOOK_EVERY_S: Final = 1.0
# The most alerts in hand: bounds the memory, and what is renewed each second.
MOST_IN_HAND: Final = 1_000
FIRST_WAIT_S: Final = 0.5
# Riders are to be told within five seconds of the provider's being back.
LONGEST_WAIT_S: Final = 3.0
LET_GO_WITHIN_S: Final = 1.5
_LARGEST_INTEGER: Final = 2**31 - 1

Compose = Callable[[BegunAlert], EmailMessage]


class SendingRules(Struct, frozen=True):
    """How fast a mail goes, how long it is of use, and how long its answer is waited for."""

    rate_per_s: float = 14.0
    connections: int = 10
    max_age: timedelta = timedelta(minutes=2)
    answer_within_s: float = 10.0


def retry_wait_s(attempt: int) -> float:
    """How long to wait after so many attempts: doubles up to 3 s, half of it by chance."""
    longest: float = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** min(attempt - 1, 10))
    return longest * random.uniform(0.5, 1.0)  # noqa: S311  not a secret


class Sender:
    """Mails what is pending, whoever stored it."""

    def __init__(
        self,
        owners: Mapping[MailKind, Owner],
        mailer: Mailer,
        compose: Compose,
        rules: SendingRules,
        health: Health,
    ) -> None:
        """Describe the way from rows to mails; `run` walks it."""
        self._owners = owners
        self._mailer = mailer
        self._compose = compose
        self._rules = rules
        self._health = health
        self._insistence = Insistence(health, longest_wait_s=LOOK_EVERY_S)
        self._outbox = Outbox(rules.rate_per_s, rules.connections)
        # The mails that are ours, and the fence of each claim.
        self._in_hand: dict[MailId, int] = {}
        self._with_the_provider: set[MailId] = set()
        self._renewed_at = 0.0
        self._rows_wait = asyncio.Event()
        self._letters_move = asyncio.Event()
        self._stopping = False

    def wake(self) -> None:
        """Say that alerts have been stored."""
        self._rows_wait.set()

    async def run(self) -> None:
        """Claim and send until `stop`; returns once no mail is with the provider any more.

        Cancelled before that, it notes of those that are that nobody knows what became of them.
        """
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._own_until_stopped())
                tasks.create_task(self._send_until_stopped(tasks))
        finally:
            with contextlib.suppress(Exception):
                async with asyncio.timeout(LET_GO_WITHIN_S):
                    for kind, owner in self._owners.items():
                        await owner.let_go(_numbers(self._with_the_provider, kind))

    def stop(self) -> None:
        """Begin no mail any more; what waits is given back."""
        self._stopping = True
        self._rows_wait.set()
        self._letters_move.set()

    async def _own_until_stopped(self) -> None:
        while not self._stopping:
            self._rows_wait.clear()
            await self._insist("claiming", self._own)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._rows_wait.wait(), LOOK_EVERY_S)

    async def _own(self) -> None:
        """Renew what is ours, put aside what came too late, and claim what is nobody's.

        That all is well again is looked for each second, whatever wakes us.
        """
        is_a_second_on = time.monotonic() - self._renewed_at >= LOOK_EVERY_S
        if is_a_second_on:
            for kind in self._owners:
                await self._renew(kind)
            self._renewed_at = time.monotonic()
        await self._claim(MailKind.ALERT)
        if is_a_second_on:
            await self._claim(MailKind.RECOVERY)
        metrics.WAITING.set(len(self._outbox))
        if self._outbox.is_idle:
            # Whether the provider is back is known only from the next mail.
            self._health.working("mail")

    async def _claim(self, kind: MailKind) -> None:
        room = MOST_IN_HAND - len(self._in_hand)
        for claim in await self._owners[kind].claim(room) if room and not self._stopping else ():
            self._in_hand[claim.mail] = claim.fence
            self._outbox.add(Letter(claim), time.monotonic())
            self._letters_move.set()

    async def _renew(self, kind: MailKind) -> None:
        owner = self._owners[kind]
        ours = {mail: fence for mail, fence in self._in_hand.items() if mail.kind is kind}
        renewed = await owner.renew(_numbers(ours, kind))
        held = {MailId(kind, number): one for number, one in renewed.items()}
        self._forget({one for one in ours if one not in held or held[one].fence != ours[one]})
        fresh_from = datetime.now(UTC) - self._rules.max_age
        self._note_expired(kind, await owner.expire_unowned(fresh_from))
        late = {one for one, claim in held.items() if claim.seen_at < fresh_from}
        await self._expire(kind, late, fresh_from)

    def _forget(self, lost: set[MailId]) -> None:
        if lost and (waiting := self._outbox.withdraw(lost)):
            _log.warning("mails are no longer ours to send", mails=len(waiting))
        for mail in lost - self._with_the_provider:
            self._in_hand.pop(mail, None)

    async def _expire(self, kind: MailKind, late: set[MailId], fresh_from: datetime) -> None:
        """Settle those that wait and came too late; what is under way goes on."""
        letters = self._outbox.withdraw(late)
        if not letters:
            return
        expired: Mapping[int, Expired] = {}
        try:
            attempts = {letter.claim.alert_id: letter.attempt - 1 for letter in letters}
            expired = await self._owners[kind].expire(attempts, fresh_from)
            self._note_expired(kind, expired)
        finally:
            for letter in letters:
                if letter.claim.alert_id in expired:
                    self._in_hand.pop(letter.claim.mail, None)
                else:
                    self._outbox.add(letter, time.monotonic())

    def _note_expired(self, kind: MailKind, expired: Mapping[int, Expired]) -> None:
        for one in expired.values():
            metrics.count(kind, one.level, AlertState.EXPIRED, one.whose)
        if expired:
            _log.warning("mails came too late to be of use", kind=kind, mails=len(expired))

    async def _send_until_stopped(self, tasks: asyncio.TaskGroup) -> None:
        while not self._stopping:
            self._letters_move.clear()
            while letter := self._outbox.take(time.monotonic()):
                tasks.create_task(self._try(letter))
            wait_s = self._outbox.wait_s(time.monotonic())
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._letters_move.wait(), wait_s)

    async def _try(self, letter: Letter) -> None:
        mail = letter.claim.mail
        try:
            alert = await self._begin(letter)
            if alert is None:
                self._in_hand.pop(mail, None)
            elif (state := self._foregone(alert)) is not None:
                await self._settle(letter, alert, state, attempts=letter.attempt - 1)
            else:
                self._with_the_provider.add(mail)
                await self._send(letter, alert)
                self._with_the_provider.discard(mail)
        finally:
            self._outbox.finish(letter)
            self._letters_move.set()

    async def _begin(self, letter: Letter) -> BegunAlert | None:
        """The alert as it is now; asked again where the answer is too old to be relied upon."""
        owner = self._owners[letter.claim.kind]
        while True:
            asked_at = time.monotonic()
            alert = await self._insist("mailing", lambda: owner.begin(letter.claim))
            if time.monotonic() - asked_at < self._rules.answer_within_s:
                return alert

    def _foregone(self, alert: BegunAlert) -> AlertState | None:
        """What becomes of an alert that need not be tried."""
        if not alert.is_riding or datetime.now(UTC) - alert.seen_at > self._rules.max_age:
            return AlertState.EXPIRED
        is_reachable = parse_address(alert.email) is not None and not alert.is_refused
        is_welcome = alert.is_wanted and is_reachable
        return None if is_welcome else AlertState.UNDELIVERABLE

    async def _send(self, letter: Letter, alert: BegunAlert) -> None:
        try:
            message_id = await self._mailer.send(self._compose(alert))
        except MailError as error:
            await self._look_into(letter, alert, error)
        else:
            latency = datetime.now(UTC) - _counted_from(alert)
            metrics.ATTEMPTS.labels("accepted").inc()
            if alert.kind is MailKind.ALERT:
                metrics.LATENCY_SECONDS.observe(max(0.0, latency.total_seconds()))
            self._outbox.found_open(time.monotonic())
            self._health.working("mail")
            await self._settle(
                letter,
                alert,
                AlertState.SENT,
                attempts=letter.attempt,
                provider_message_id=message_id,
                # A bike's clock may be wrong by any amount.
                latency_ms=min(max(0, latency // timedelta(milliseconds=1)), _LARGEST_INTEGER),
            )

    async def _look_into(self, letter: Letter, alert: BegunAlert, error: MailError) -> None:
        told = {"alert_id": alert.alert_id, "kind": alert.kind, "attempt": letter.attempt}
        told["reason"] = str(error)
        match error:
            case AddressRefused():
                metrics.ATTEMPTS.labels("refused").inc()
                _log.warning("address refused", **told)
                self._outbox.found_open(time.monotonic())
                await self._refuse_address(alert)
                await self._settle(letter, alert, AlertState.BOUNCED, attempts=letter.attempt)
            case MailRefused():
                metrics.ATTEMPTS.labels("refused").inc()
                _log.warning("mail refused", **told)
                self._outbox.found_open(time.monotonic())
                await self._settle(letter, alert, AlertState.FAILED, attempts=letter.attempt)
            case MailUnknown():
                # A second mail about the same minute frightens; it may be the second of many.
                metrics.ATTEMPTS.labels("unknown").inc()
                _log.warning("mail may have been accepted", **told)
                self._health.failing("mail")
                await self._settle(letter, alert, AlertState.UNKNOWN, attempts=letter.attempt)
            case MailThrottled():
                self._outbox.slow_down()
                self._try_later(letter, "throttled", told)
            case _:
                self._outbox.found_closed(time.monotonic())
                self._try_later(letter, "unavailable", told)

    async def _refuse_address(self, alert: BegunAlert) -> None:
        addresses = (alert.email or "",)
        refuse = self._owners[alert.kind].refuse
        refused = await self._insist("mailing", lambda: refuse(addresses, AlertState.BOUNCED))
        metrics.count_refused(refused, AlertState.BOUNCED)

    def _try_later(self, letter: Letter, end: str, told: dict[str, object]) -> None:
        metrics.ATTEMPTS.labels(end).inc()
        self._health.failing("mail")
        wait_s = retry_wait_s(letter.attempt)
        _log.warning("mail not accepted", **told, wait_s=round(wait_s, 1))
        if letter.claim.mail in self._in_hand:
            again = Letter(letter.claim, letter.attempt + 1)
            self._outbox.add(again, time.monotonic() + wait_s)

    async def _settle(
        self,
        letter: Letter,
        alert: BegunAlert,
        state: AlertState,
        *,
        attempts: int,
        provider_message_id: str | None = None,
        latency_ms: int | None = None,
    ) -> None:
        owner = self._owners[letter.claim.kind]
        was_ours = await self._insist(
            "mailing",
            lambda: owner.settle(
                letter.claim,
                alert,
                state,
                attempts=attempts,
                provider_message_id=provider_message_id,
                latency_ms=latency_ms,
            ),
        )
        self._in_hand.pop(letter.claim.mail, None)
        told = {"alert_id": alert.alert_id, "kind": alert.kind, "state": state}
        if was_ours:
            metrics.count(alert.kind, alert.level, state, alert.whose)
            _log.info("mail settled", level=alert.level, **told)
        else:
            metrics.OVERTAKEN.inc()
            _log.warning("mail was settled by another", **told)

    async def _insist(self, what: str, step: Callable[[], Awaitable[T]]) -> T:
        """Do what needs the database; its failures are told apart by what they keep from us."""
        return await self._insistence.on(
            f"database: {what}", database.is_transient, step, who=asyncio.current_task()
        )


def _numbers(mails: Iterable[MailId], kind: MailKind) -> list[int]:
    return [mail.alert_id for mail in mails if mail.kind is kind]


def _counted_from(alert: BegunAlert) -> datetime:
    """The reading from which the mail's latency counts: the one by which it had to be told."""
    return alert.seen_at if alert.kind is MailKind.RECOVERY else alert.measured_at
