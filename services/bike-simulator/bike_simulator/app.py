"""SHELL: plays a fleet to an outlet: its history at full speed, then live."""

import asyncio
import logging
import signal
import time
from bisect import bisect_right
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Final

from bike_simulator.fleet import FleetPlan, Message, simulate_windows
from bike_simulator.outlets import Outlet
from bike_simulator.pacing import AT_ONCE, Pace

log = logging.getLogger(__name__)

MESSAGES_AT_ONCE: Final = 50_000
# Live messages are gathered for this long: some thousand bikes make one batch, not a thousand.
GATHER_S: Final = 0.02
STOP_WITHIN_S: Final = 5.0


def wall_us() -> int:
    """The wall clock, microseconds since 1970."""
    return time.time_ns() // 1000


@dataclass(slots=True)
class Player:
    """Sends windows of messages when they are due.

    `stop`, once set, ends the play after the messages under way.
    """

    outlet: Outlet
    pace: Pace
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    clock_us: Callable[[], int] = wall_us
    sent: int = 0
    is_live: bool = False
    _begun_s: float = field(default_factory=time.monotonic)

    async def play(self, windows: Iterable[Sequence[Message]]) -> None:
        """Send all windows, or those that come before `stop`."""
        if not await self._unless_stopped(self.outlet.open()):
            return
        try:
            for window in windows:
                await self._play_window(window)
                if self.stop.is_set():
                    break
        finally:
            await self.outlet.close()

    async def _play_window(self, window: Sequence[Message]) -> None:
        sent = 0
        while sent < len(window) and not self.stop.is_set():
            limit = min(len(window), sent + MESSAGES_AT_ONCE)
            reached_us = self.pace.fleet_time_us(self.clock_us())
            end = bisect_right(window, reached_us, sent, limit, key=attrgetter("at_us"))
            if end > sent and not await self._unless_stopped(self.outlet.deliver(window[sent:end])):
                return
            self.sent += end - sent
            sent = end
            if end < limit:
                await self._wait_for(window[end])

    async def _wait_for(self, message: Message) -> None:
        if not self.is_live:
            self.is_live = True
            log.info("live", extra={"facts": self.counts()})
        wait_s = max(GATHER_S, self.pace.wait_s(message.at_us, self.clock_us()))
        try:
            await asyncio.wait_for(self.stop.wait(), wait_s)
        except TimeoutError:
            return

    async def _unless_stopped(self, work: Awaitable[None]) -> bool:
        """Do the work; once stopped it has a few seconds left. False if it was not finished."""
        task = asyncio.ensure_future(work)
        stopping = asyncio.ensure_future(self.stop.wait())
        await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not task.done():
            await asyncio.wait({task}, timeout=STOP_WITHIN_S)
        if task.done():
            task.result()
            return True
        task.cancel()
        await asyncio.wait({task})
        return False

    def counts(self) -> dict[str, float]:
        """What has been done so far."""
        seconds = time.monotonic() - self._begun_s
        return {
            "messages": self.sent,
            "seconds": round(seconds, 1),
            "messages_per_s": round(self.sent / max(seconds, 0.001)),
        }


async def run(plan: FleetPlan, outlet: Outlet, pace: Pace) -> None:
    """Play the whole plan; SIGTERM and SIGINT end it cleanly."""
    player = Player(outlet, pace)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, player.stop.set)
    log.info(
        "start",
        extra={
            "facts": {
                "bikes": plan.bikes,
                "seed": plan.seed,
                "from": plan.start_at.isoformat(),
                "until": plan.until_at.isoformat() if plan.until_at else None,
                "live": pace is not AT_ONCE,
            }
        },
    )
    await player.play(simulate_windows(plan))
    log.info("stop", extra={"facts": {**player.counts(), "on_request": player.stop.is_set()}})
