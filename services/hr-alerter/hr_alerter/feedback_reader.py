"""SHELL: what the provider tells of mails ends their alerts and the mailing of their addresses."""

import asyncio
from datetime import UTC, datetime

import asyncpg
import msgspec

from deloton.running.health import Health
from deloton.running.insistence import Insistence
from deloton.running.logs import get_logger
from deloton.store import database
from hr_alerter import metrics
from hr_alerter.feedback import Feedback, parse_feedback
from hr_alerter.feedback_queue import FeedbackQueue, Told, is_transient
from hr_alerter.refusals import is_mail_known, refuse_addresses, settle_feedback

_log = get_logger(__name__)


class FeedbackReader:
    """Reads the queue until it is stopped. Reading a message again changes nothing.

    What tells of a mail before the mail itself is stored as sent stays in the queue, which shows it
    again.
    """

    def __init__(self, queue: FeedbackQueue, pool: asyncpg.Pool, health: Health) -> None:
        """Nothing is read yet."""
        self._queue = queue
        self._pool = pool
        self._insist = Insistence(health)
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Read until `stop`; returns once what was read has been heeded."""
        while not self._stopping.is_set():
            for told in await self._insist.on("mail: feedback", is_transient, self._queue.receive):
                await self._heed(told)

    def stop(self) -> None:
        """Read no more."""
        self._stopping.set()

    async def _heed(self, told: Told) -> None:
        try:
            feedback = parse_feedback(told.text)
        except (msgspec.DecodeError, UnicodeError) as error:
            # SES itself writes one into each new queue, to see whether it may.
            metrics.FEEDBACK.labels("unreadable").inc()
            _log.warning("no word about a mail; left out", reason=type(error).__name__)
        else:
            if feedback and not await self._insist.on(
                "database: feedback", database.is_transient, lambda: self._store(feedback)
            ):
                metrics.FEEDBACK.labels("early").inc()
                return
            metrics.FEEDBACK.labels(feedback.state if feedback else "other").inc()
        await self._insist.on("mail: feedback", is_transient, lambda: self._queue.delete(told))

    async def _store(self, feedback: Feedback) -> bool:
        """Heed what was told; False where the mail that it is about may be stored in a while."""
        # Asked first: what is stored in between is known the next time.
        is_known = await is_mail_known(self._pool, feedback.message_id)
        riders = await refuse_addresses(self._pool, feedback.addresses, feedback.state)
        settled = await settle_feedback(self._pool, feedback)
        for kind, level, whose in settled:
            metrics.count(kind, level, feedback.state, whose)
        metrics.count_refused(riders, feedback.state)
        _log.warning(
            "the provider tells of a mail",
            state=feedback.state,
            mails=len(settled),
            rider_ids=riders,
        )
        return is_known or not feedback.may_be_early(datetime.now(UTC))
