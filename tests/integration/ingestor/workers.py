"""A partition's worker on a real PostgreSQL, whose messages are recorded instead of sent."""

from collections.abc import Sequence

import asyncpg

from deloton.feed.assembly import Assembled
from deloton.running.health import Health
from deloton.testing import ManualClock, at
from ingestor.claims import claim_partition
from ingestor.partition_state import RefusedRecord
from ingestor.partition_worker import Outlets, PartitionWorker
from ingestor.publisher import Publisher
from ingestor.reading_days import ReadingDays
from ingestor.settings import IngestorSettings
from tests.integration.ingestor.claimed import TOPIC

SETTINGS = IngestorSettings.model_validate(
    {"database_url": "postgresql://db", "kafka_bootstrap_servers": "nowhere:9092"}
)


class RecordingPublisher(Publisher):
    """Keeps what would be sent; fails first as often as it is told to."""

    def __init__(self, *failures: Exception) -> None:
        super().__init__(SETTINGS)
        self.failures = list(failures)
        self.sent: list[tuple[int, Assembled]] = []
        self.refused: list[RefusedRecord] = []

    async def publish(
        self, partition: int, assembled: Assembled, refused: Sequence[RefusedRecord]
    ) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self.sent.append((partition, assembled))
        self.refused += refused


async def a_worker(
    pool: asyncpg.Pool, clock: ManualClock | None = None, publisher: Publisher | None = None
) -> PartitionWorker:
    outlets = Outlets(
        pool,
        ReadingDays(pool, 0, lambda: at(0).date()),
        publisher or RecordingPublisher(),
        Health(),
    )
    return PartitionWorker(await claim_partition(pool, TOPIC, 0), outlets, clock or ManualClock())
