"""CORE: how far a partition is behind Kafka, as far as that is known."""

import math

from msgspec import Struct

# A worker with work to do asks for more as it gets on, and one without several times a second: of
# a partition that was not told of for so long, nobody knows where it ends.
KNOWN_FOR_S = 15.0


class End(Struct, frozen=True):
    """Where a partition ended in Kafka, and when that was told, in seconds since 1970."""

    offset: int
    told_at: float


class Standing(Struct, frozen=True):
    """Records that wait, and the age in seconds of the newest that is stored; NaN: not known.

    Where nothing waits, the age is 0.
    """

    lag: float
    seconds_behind: float


def standing(
    end: End | None, next_offset: int, newest_timestamp_ms: int | None, now_s: float
) -> Standing:
    """How far a partition is stored up to `next_offset`, as of `now_s` since 1970.

    `newest_timestamp_ms` is Kafka's time stamp of the newest record stored, None where this worker
    has stored none. A partition only grows: where something waited when its end was last told,
    something waits now, though nobody knows how much.
    """
    if end is None:
        return Standing(math.nan, math.nan)
    waiting = max(0, end.offset - next_offset)
    is_known = now_s - end.told_at <= KNOWN_FOR_S
    lag = float(waiting) if is_known else math.nan
    if not waiting:
        return Standing(lag, 0.0 if is_known else math.nan)
    if newest_timestamp_ms is None:
        return Standing(lag, math.nan)
    return Standing(lag, max(0.0, now_s - newest_timestamp_ms / 1000))
