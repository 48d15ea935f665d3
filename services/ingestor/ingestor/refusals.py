"""EDGE: how many lines were refused, when and why: counted beside the dead letters themselves.

A line counts when it is first met, in the quarter of an hour of its record's time in Kafka. Its
own stamp may be what cannot be read, and our clock would tell a backlog's lines of today. Every
time zone lies whole quarters of an hour beside UTC, so that any company's day is a sum of rows.
"""

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import asyncpg

from deloton.feed.log_lines import Refusal, RefusalReason
from deloton.store.database import Connection
from ingestor.claims import Claim
from ingestor.partition_state import Record, RefusedRecord, is_replayed

QUARTER_MS = 15 * 60 * 1000

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_QUARTER = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // timedelta(milliseconds=QUARTER_MS)

_COUNT_REFUSED = """
INSERT INTO refused_lines AS known (refused_in, topic, partition, reason, line_count)
SELECT told.refused_in, $1, $2, told.reason, told.line_count
FROM unnest($3::timestamptz[], $4::text[], $5::bigint[]) AS told (refused_in, reason, line_count)
ON CONFLICT (refused_in, topic, partition, reason)
DO UPDATE SET line_count = known.line_count + excluded.line_count
"""


async def count_refused(
    connection: Connection, claim: Claim, refused: Iterable[RefusedRecord]
) -> None:
    """Add refused lines to their counts; belongs into the transaction that moves the offset.

    A line that was sent again and is still refused was counted before.
    """
    counts = Counter(
        (quarter_of(letter.record.timestamp), letter.refusal.reason)
        for letter in refused
        if not is_replayed(letter.record)
    )
    if counts:
        quarters, reasons = zip(*counts, strict=True)
        columns = (quarters, reasons, list(counts.values()))
        await connection.execute(_COUNT_REFUSED, claim.topic, claim.partition, *columns)


def refused_by_database(record: Record, error: asyncpg.PostgresError) -> RefusedRecord:
    """A record whose rows PostgreSQL refuses. Only the error's class is told: it quotes values."""
    detail = f"{type(error).__name__} ({error.sqlstate})"
    return RefusedRecord(record, Refusal(RefusalReason.REFUSED_BY_DATABASE, detail))


def quarter_of(timestamp_ms: int) -> datetime:
    """The beginning of a moment's quarter of an hour; the nearest there is of an odd timestamp."""
    quarter = min(max(timestamp_ms // QUARTER_MS, 0), _LAST_QUARTER)
    return _EPOCH + quarter * timedelta(milliseconds=QUARTER_MS)
