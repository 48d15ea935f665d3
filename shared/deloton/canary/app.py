"""SHELL: beat after beat: lines to Kafka until the mail is in the inbox, or until patience ends."""

import asyncio
import math
import time
from datetime import UTC, datetime
from typing import Any, Final

import aiohttp
import aiokafka

from deloton.canary import metrics
from deloton.canary.beats import Beat
from deloton.canary.inboxes import Inbox, open_inbox
from deloton.canary.settings import CanarySettings
from deloton.rules.canary import CANARY_BIKE
from deloton.running.health import Health
from deloton.running.insistence import Insistence
from deloton.running.logs import get_logger
from deloton.running.pages import serve_pages
from deloton.wire import kafka

_log = get_logger(__name__)

LOOK_EVERY_S: Final = 0.25
LONGEST_WAIT_S: Final = 5.0
LOOK_FOR_TOPIC_EVERY_S: Final = 1.0
# A broker that has not taken a line by then is away.
TAKEN_WITHIN_MS: Final = 10_000


async def run(settings: CanarySettings, stopped: asyncio.Event) -> None:
    """Beat until `stopped`. Raises `OSError` where the pages' port is taken."""
    health = Health()
    pages = await serve_pages(
        settings.listen_address,
        settings.metrics_port,
        lambda: health.report([]),
        metrics.FAILING_SECONDS,
    )
    try:
        async with open_inbox(settings.canary_inbox, settings.aws_endpoint_url) as inbox:
            beating = asyncio.create_task(Canary(settings, inbox, health).beat_for_ever())
            stopping = asyncio.create_task(stopped.wait())
            await asyncio.wait({beating, stopping}, return_when=asyncio.FIRST_COMPLETED)
            stopping.cancel()
            beating.cancel()
            [ended] = await asyncio.gather(beating, return_exceptions=True)
            if isinstance(ended, Exception):
                raise ended
    finally:
        await pages.cleanup()


class Canary:
    """Rides on its own bike, and looks for its own mails."""

    def __init__(self, settings: CanarySettings, inbox: Inbox, health: Health) -> None:
        """Describe it; it connects when it beats."""
        self._settings = settings
        self._inbox = inbox
        self._insist = Insistence(health, longest_wait_s=LONGEST_WAIT_S)
        self._silence = metrics.Silence()

    async def beat_for_ever(self) -> None:
        """A beat, a pause, a beat."""
        every_s = self._settings.canary_every_s
        producer = await self._connect()
        try:
            while True:
                began_at = time.time()
                await self._beat(producer, int(began_at // every_s))
                await asyncio.sleep(max(0.0, began_at + every_s - time.time()))
        finally:
            await producer.stop()

    async def _connect(self) -> Any:  # noqa: ANN401
        async def start() -> Any:  # noqa: ANN401
            await self._find_topic()
            producer = aiokafka.AIOKafkaProducer(
                **kafka.client_options(self._settings),
                client_id="canary",
                request_timeout_ms=TAKEN_WITHIN_MS,
            )
            try:
                await producer.start()
            except BaseException:
                await producer.stop()
                raise
            return producer

        return await self._insist.on("broker", kafka.is_transient, start)

    async def _find_topic(self) -> None:
        topic = self._settings.raw_topic
        while not await kafka.topic_exists(self._settings, topic):
            _log.warning("the topic does not exist yet", topic=topic)
            await asyncio.sleep(LOOK_FOR_TOPIC_EVERY_S)

    async def _beat(self, producer: Any, number: int) -> None:  # noqa: ANN401
        mailbox = self._settings.canary_mailbox.addr_spec
        beat = Beat(number, datetime.now(UTC), mailbox)
        riding = asyncio.create_task(self._ride(producer, beat))
        looking = asyncio.create_task(self._look(beat))
        try:
            await asyncio.wait(
                {riding, looking},
                timeout=self._settings.canary_patience_s,
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            riding.cancel()
            looking.cancel()
            ended = await asyncio.gather(riding, looking, return_exceptions=True)
        for one in ended:
            if isinstance(one, Exception):
                raise one
        self._tell(beat, looking.result() if not looking.cancelled() else None)

    async def _ride(self, producer: Any, beat: Beat) -> None:  # noqa: ANN401
        await self._send(producer, beat.announcement())
        second = 0
        while True:
            second += 1
            due_at = beat.started_at.timestamp() + second + 0.5
            await asyncio.sleep(max(0.0, due_at - time.time()))
            await self._send(producer, beat.second(second))

    async def _send(self, producer: Any, lines: list[bytes]) -> None:  # noqa: ANN401
        async def send() -> None:
            for line in lines:
                await producer.send_and_wait(
                    self._settings.raw_topic, line, key=CANARY_BIKE.encode()
                )

        await self._insist.on("broker", kafka.is_transient, send)

    async def _look(self, beat: Beat) -> datetime:
        """When the mail of a beat was in the inbox."""
        while True:
            if await self._insist.on(
                "inbox", _passes_by_itself, lambda: self._inbox.holds(beat.address)
            ):
                return datetime.now(UTC)
            await asyncio.sleep(LOOK_EVERY_S)

    def _tell(self, beat: Beat, arrived_at: datetime | None) -> None:
        if arrived_at is None:
            metrics.BEATS.labels("silence").inc()
            metrics.LAST_SECONDS.set(math.nan)
            _log.warning("no mail came of the canary's ride", beat=beat.number)
            return
        seconds = (arrived_at - beat.beyond_limit_at).total_seconds()
        metrics.BEATS.labels("mail").inc()
        metrics.LAST_SECONDS.set(seconds)
        metrics.END_TO_END_SECONDS.observe(seconds)
        self._silence.end()
        _log.info("the canary's mail came", beat=beat.number, seconds=round(seconds, 1))


def _passes_by_itself(error: BaseException) -> bool:
    """An inbox that is away or refuses: it is asked again, and its failing is told meanwhile."""
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

    return isinstance(
        error, OSError | TimeoutError | aiohttp.ClientError | BotoCoreError | ClientError
    )
