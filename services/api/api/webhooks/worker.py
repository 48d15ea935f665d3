"""SHELL: changes become messages, messages go out, and what becomes of each is noted."""

import asyncio
import contextlib
import math
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Final, TypeVar

import aiohttp

from api.contract.webhook_rules import message, message_id, signed_headers
from api.webhooks import metrics
from api.webhooks.endpoints import Endpoints
from api.webhooks.queue import CHANGES_AT_ONCE, Delivery, Queue
from deloton.running.health import Health
from deloton.running.logs import get_logger
from deloton.running.retries import until_it_works
from deloton.store import database

_log = get_logger(__name__)

T = TypeVar("T")

LOOK_EVERY_S: Final = 1.0
MOST_IN_HAND: Final = 100
FORGET_EVERY_S: Final = 600.0
LET_GO_WITHIN_S: Final = 2.0
GONE: Final = 410
LONGEST_WAIT_S: Final = 5.0


class Worker:
    """One of any number that do the same side by side."""

    def __init__(
        self, queue: Queue, endpoints: Endpoints, health: Health, changes_kept_for: timedelta
    ) -> None:
        """Describe the way; `run` walks it."""
        self._queue = queue
        self._endpoints = endpoints
        self._health = health
        self._changes_kept_for = changes_kept_for
        self._in_hand: dict[asyncio.Task[None], Delivery] = {}
        self._settled = asyncio.Event()
        self._looked_at = self._forgot_at = -math.inf

    async def run(self) -> None:
        """Send until cancelled; what is under way then is given back."""
        try:
            while True:
                self._settled.clear()
                if time.monotonic() - self._looked_at >= LOOK_EVERY_S:
                    await self._look()
                await self._begin_tries()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._settled.wait(), LOOK_EVERY_S)
                self._raise_what_ended()
        finally:
            await self._let_go()

    async def _look(self) -> None:
        """Make messages of what has changed, tell how many wait, forget the oldest."""
        self._looked_at = time.monotonic()
        made = await self._insist("making", lambda: self._queue.make(self._changes_kept_for))
        if made >= CHANGES_AT_ONCE:
            self._looked_at = -math.inf
        messages, oldest_s = await self._insist("counting", self._queue.waiting)
        metrics.WAITING.set(messages)
        metrics.SECONDS_BEHIND.set(oldest_s)
        if time.monotonic() - self._forgot_at >= FORGET_EVERY_S:
            await self._insist("forgetting", self._queue.forget)
            self._forgot_at = time.monotonic()

    async def _begin_tries(self) -> None:
        room = MOST_IN_HAND - len(self._in_hand)
        if not room:
            return
        for delivery in await self._insist("taking", lambda: self._queue.take(room)):
            self._in_hand[asyncio.create_task(self._try(delivery))] = delivery

    def _raise_what_ended(self) -> None:
        for task in [task for task in self._in_hand if task.done()]:
            del self._in_hand[task]
            task.result()

    async def _try(self, delivery: Delivery) -> None:
        try:
            status, error = await self._post(delivery)
            if error is None and status is not None:
                await self._note_delivered(delivery, status)
            else:
                await self._note_failure(delivery, status, error or "")
        finally:
            self._settled.set()

    async def _post(self, delivery: Delivery) -> tuple[int | None, str | None]:
        """The answer's status, if there was one; and why the message was not taken, if it was not.

        What is told of an error says nothing of our network.
        """
        body = message(
            delivery.kind,
            delivery.noted_at,
            delivery.change_id,
            {"ride_id": delivery.ride_id, "rider_id": delivery.rider_id},
        )
        name = message_id(delivery.webhook_id, delivery.change_id)
        headers = signed_headers(delivery.secrets, name, body, datetime.now(UTC))
        try:
            with metrics.ANSWER_SECONDS.time():
                status = await self._endpoints.post(delivery.url, body, headers)
        except TimeoutError:
            return None, "no answer in time"
        except (OSError, ValueError, aiohttp.ClientError) as error:
            return None, _told(error)
        is_taken = 200 <= status < 300  # noqa: PLR2004  what HTTP calls a success
        return status, None if is_taken else f"answered {status}"

    async def _note_delivered(self, delivery: Delivery, status: int) -> None:
        metrics.TRIES.labels("taken").inc()
        if await self._insist("noting", lambda: self._queue.note_delivered(delivery, status)):
            metrics.MESSAGES.labels("delivered").inc()

    async def _note_failure(self, delivery: Delivery, status: int | None, error: str) -> None:
        metrics.TRIES.labels("not taken").inc()
        gone = status == GONE
        note = self._queue.note_failure
        settled = await self._insist("noting", lambda: note(delivery, status, error, gone=gone))
        told = {"webhook_id": delivery.webhook_id, "delivery_id": delivery.delivery_id}
        _log.info("message not taken", **told, attempt=delivery.attempts, error=error)
        if settled is None:
            return
        if settled.state == "failed":
            metrics.MESSAGES.labels("failed").inc()
        if settled.webhook_state == "off":
            why = "gone" if gone else "dead"
            metrics.SWITCHED_OFF.labels(why).inc()
            _log.warning("webhook switched off", webhook_id=delivery.webhook_id, why=why)

    async def _let_go(self) -> None:
        tasks, left = list(self._in_hand), list(self._in_hand.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with contextlib.suppress(Exception):
            async with asyncio.timeout(LET_GO_WITHIN_S):
                await self._queue.let_go(left)

    async def _insist(self, what: str, step: Callable[[], Awaitable[T]]) -> T:
        name, who = f"database: {what}", asyncio.current_task()
        result = await until_it_works(
            name,
            step,
            passes_by_itself=database.is_transient,
            on_failure=lambda: self._health.failing(name, who),
            longest_wait_s=LONGEST_WAIT_S,
        )
        self._health.working(name, who)
        return result


def _told(error: Exception) -> str:
    if isinstance(error, ValueError):
        return f"the address {error}"
    return f"no connection ({type(error).__name__})"
