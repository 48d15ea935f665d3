"""EDGE: a batch is assembled, with the answers of the database to what memory has forgotten."""

from collections.abc import Awaitable, Callable, Sequence

import asyncpg

from deloton.feed.assembly import NO_STAMP, Assembled, Memory
from deloton.feed.assembly.facts import NO_TIME
from deloton.feed.assembly.late import Seconds, place, rides_of
from deloton.feed.assembly.memory import LOOK_AROUND
from ingestor.partition_state import Batch, PartitionState, Question, Record
from ingestor.past_rides import FIRST_COUNT, past_ride

# Rides that were told in full: those that have ended. One that has not is either a stream's own,
# and in memory, or was stored by an attempt that never came to its end.
_NEWEST = """
SELECT asked.serial, greatest(latest.ended_at, odd.ended_at) AS newest
FROM unnest($1::text[]) AS asked (serial)
LEFT JOIN LATERAL (
    SELECT ended_at FROM rides WHERE bike_serial = asked.serial AND ended_at IS NOT NULL
    ORDER BY started_at DESC LIMIT 1
) latest ON true
LEFT JOIN LATERAL (
    SELECT max(beginning + (ended_at - started_at)) AS ended_at
    FROM rides, unnest(clock_beginnings) AS beginning
    WHERE bike_serial = asked.serial AND ended_at IS NOT NULL AND clock_beginnings IS NOT NULL
) odd ON true
"""

_RIDES_AROUND = f"""
SELECT rides.*, first.* FROM rides {FIRST_COUNT}
WHERE bike_serial = $1 AND ended_at IS NOT NULL AND (
    started_at BETWEEN $2::timestamptz - $3::interval AND $2::timestamptz + $3::interval
    OR clock_beginnings IS NOT NULL
)
UNION
(SELECT rides.*, first.* FROM rides {FIRST_COUNT}
 WHERE bike_serial = $1 AND ended_at IS NOT NULL AND started_at <= $2
 ORDER BY started_at DESC LIMIT 1)
"""  # noqa: S608 - a join of ours

_SECONDS = """
SELECT told.ride_id, readings.at, readings.elapsed_s, power_watts IS NOT NULL
FROM unnest($1::bigint[], $2::timestamptz[], $3::timestamptz[]) AS told (ride_id, since, until)
CROSS JOIN LATERAL (
    SELECT told.since - interval '1 minute' AS since, told.until + interval '1 minute' AS until
) around
CROSS JOIN LATERAL readings_of(told.ride_id, around.since, around.until) AS readings
WHERE readings.at BETWEEN around.since AND around.until
"""


async def assemble(
    state: PartitionState,
    records: Sequence[Record],
    now: float,
    answer: Callable[[Question], Awaitable[None]],
) -> Batch:
    """What a batch comes to; late lines are not decided yet (`place_late_lines`).

    `answer` lets the state's memory learn what is asked (`look_up`), and tries until it works.
    """
    steps = state.assembling(records, now)
    while True:
        try:
            question = next(steps)
        except StopIteration as done:
            batch: Batch = done.value
            return batch
        await answer(question)


async def place_late_lines(pool: asyncpg.Pool, assembled: Assembled) -> None:
    """Tell repeats from what is missing, by what is stored; rides must have their `ride_id`."""
    if not assembled.late:
        return
    stored: dict[int, Seconds] = {}
    spans = rides_of(assembled.late)
    # What is stored of a ride whose time turned out to be wrong in this batch moves with it.
    moved = {ride.ride_id: assembled.shifted.get(ride, NO_TIME) for ride in spans}
    columns = [
        (ride.ride_id, since - moved[ride.ride_id], until - moved[ride.ride_id])
        for ride, (since, until) in spans.items()
    ]
    rows = await pool.fetch(_SECONDS, *zip(*columns, strict=True))
    for ride_id, at, elapsed_s, is_whole in rows:
        seconds = stored.setdefault(ride_id, Seconds())
        seconds.add(at + moved[ride_id], elapsed_s, is_whole=is_whole)
    place(assembled, stored)


async def look_up(pool: asyncpg.Pool, memory: Memory, question: Question) -> None:
    """Let the memory learn what is asked, from what is stored."""
    if question.stamp is None:
        rows = await pool.fetch(_NEWEST, question.serials)
        memory.learn_newest({row["serial"]: row["newest"] or NO_STAMP for row in rows})
        return
    [serial] = question.serials
    rows = await pool.fetch(_RIDES_AROUND, serial, question.stamp, LOOK_AROUND)
    memory.learn_rides(serial, question.stamp, map(past_ride, rows))
