"""SHELL: rides that have ended are packed, some at a time, beside the work on their lines.

Also those that ended before there were series, newest first. Packing takes no more than half of
the time, so that who stores is never far from its turn.
"""

import time
from collections.abc import Callable
from typing import Final

import asyncpg

from deloton.running.logs import get_logger
from deloton.store.series import pack_rides, waiting_rides
from ingestor import metrics

_log = get_logger(__name__)

LOOK_EVERY_S: Final = 1.0
COUNT_EVERY_S: Final = 60.0
# What a busy minute leaves behind is no backlog to be told of.
BACKLOG_RIDES: Final = 10_000


class Packer:
    """Packs what waits, and tells how far it has got. Several do so at once."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        ended_for_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Pack rides that ended so long ago. `clock` tells seconds and never falls back."""
        self._pool = pool
        self._ended_for_s = ended_for_s
        self._clock = clock
        self._counted: tuple[float, int] | None = None

    async def pack(self) -> float:
        """Pack some rides; return after how many seconds to come again."""
        began = self._clock()
        packed = await pack_rides(self._pool, self._ended_for_s)
        metrics.RIDES_PACKED.inc(packed)
        if self._counted is None or began - self._counted[0] >= COUNT_EVERY_S:
            await self._count(began)
        return self._clock() - began if packed else LOOK_EVERY_S

    async def _count(self, now: float) -> None:
        waiting = await waiting_rides(self._pool)
        metrics.RIDES_TO_PACK.set(waiting.ride_count)
        metrics.RIDES_NOT_PACKED.set(waiting.refused_count)
        before, self._counted = self._counted, (now, waiting.ride_count)
        if waiting.ride_count < BACKLOG_RIDES or before is None:
            return
        fewer_a_minute = (before[1] - waiting.ride_count) / (now - before[0]) * 60
        minutes = round(waiting.ride_count / fewer_a_minute) if fewer_a_minute > 0 else None
        _log.info("rides wait to be packed", rides=waiting.ride_count, minutes_left=minutes)
