"""SHELL: keeping programs running: one that ends is started again after a growing pause."""

import asyncio
import time
import urllib.request
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Protocol

from demo.errors import ProgramFailed

LONGEST_PAUSE_S = 30.0
# Alive this long, a program counts as started well, and its next end begins a new count.
SETTLED_AFTER_S = 30.0
ENDS_IN_A_ROW = 5
HEALTH_EVERY_S = 1.0

# Whatever proxy the person's shell names, our own pages are on this machine.
DIRECTLY = urllib.request.build_opener(urllib.request.ProxyHandler({}))

Say = Callable[[str], None]


@dataclass(frozen=True)
class Rhythm:
    """How long the first pause before another start is, and how often a program is looked at."""

    first_pause_s: float = 1.0
    check_every_s: float = 0.25
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


USUAL: Final = Rhythm()


class Startable(Protocol):
    """A program or server that can be started again."""

    def start(self) -> None:
        """Start it."""

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""

    def explain_end(self) -> str:
        """Say how it ended, with its last lines."""


@dataclass
class Watched:
    """One program under watch, and what a view shows of it.

    One that does not keep its data is not started again: the others could not go on with it.
    """

    name: str
    program: Startable
    health: str | None = None
    keeps_data: bool = True
    state: str = "starting"
    restarts: int = 0


async def keep_running(watched: Watched, say: Say, rhythm: Rhythm = USUAL) -> None:
    """Watch a started program for ever; start it again when it ends.

    Raises `ProgramFailed` when it ends again and again before it has settled, or at once
    when its data are gone with it.
    """
    started_at = time.monotonic()
    ends = 0
    while True:
        await watch(watched, rhythm)
        if not watched.keeps_data:
            raise ProgramFailed(watched.program.explain_end())
        ends = 1 if time.monotonic() - started_at > SETTLED_AFTER_S else ends + 1
        if ends >= ENDS_IN_A_ROW:
            raise ProgramFailed(f"Giving up after {ends} starts: {watched.program.explain_end()}")
        pause_s = min(rhythm.first_pause_s * 2 ** (ends - 1), LONGEST_PAUSE_S)
        say(f"{watched.program.explain_end()}\nStarting it again in {pause_s:.0f} s.")
        watched.state = "ended"
        await rhythm.sleep(pause_s)
        watched.program.start()
        watched.restarts += 1
        started_at = time.monotonic()


async def watch(watched: Watched, rhythm: Rhythm) -> None:
    """Return when the program has ended; note its health meanwhile."""
    next_check = 0.0
    while watched.program.running:
        if time.monotonic() >= next_check:
            watched.state = await state_of(watched)
            next_check = time.monotonic() + HEALTH_EVERY_S
        await rhythm.sleep(rhythm.check_every_s)


async def state_of(watched: Watched) -> str:
    """Return `running`, or what the health page says where there is one."""
    if watched.health is None:
        return "running"
    healthy = await asyncio.to_thread(answers_well, watched.health)
    if healthy:
        return "healthy"
    return watched.state if watched.state == "starting" else "not healthy"


def answers_well(url: str) -> bool:
    """Say whether a page answers 200 within a second."""
    try:
        with DIRECTLY.open(url, timeout=1) as response:
            return bool(response.status == 200)  # noqa: PLR2004
    except OSError:
        return False
