"""A million mutated lines through parser and assembly: nothing raises, every refusal is counted.

Seeded: the same seed gives the same lines. Not a measure of speed alone: what is counted is how
many of which kind come out, and that nothing else does.

Announcements that are not mutated tell one fact in a value that no column holds. The
first lines go to a PostgreSQL as well, which refuses besides what is well formed and within
bounds, one reading in some thousand: each must be set apart, and nothing else.
"""

import argparse
import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice

from benchmarks.system import machine
from bike_simulator import FAULT_PRESETS, FleetPlan, simulate
from deloton.feed.assembly import Assembled, Stream
from deloton.feed.assembly.late import place
from deloton.feed.log_lines import DoubtfulLine, Refusal, parse_message
from deloton.migrate import migrate
from deloton.running.health import Health
from deloton.store.database import connect_pool
from deloton.testing import FakeRecord
from demo.embedded_postgres import EmbeddedPostgres
from demo.guardian import Guardian
from ingestor.claims import claim_partition
from ingestor.partition_state import RefusedRecord
from ingestor.partition_worker import Outlets, PartitionWorker
from ingestor.publisher import Publisher
from ingestor.reading_days import ReadingDays
from ingestor.settings import IngestorSettings

START_AT = datetime(2026, 3, 2, 9, tzinfo=UTC)
TYPICAL = [b"0", b"9", b"-", b".", b"e", b'"', b"\\", b"\n", b"\0", b"\xff", b"{", b"}", b";", b" "]
BATCH = 20_000
LONG = "".join(chr(0x4E00 + number * 7919 % 20_000) for number in range(5_000))
EXTREMES: list[object] = [
    *(LONG, "nul\0", "half\ud800", "🚲" * 1_000, "", "Ms " + LONG, ",".join([LONG] * 4)),
    *(2**63, -1, 1e308, 5e-324, 10**400, 1e300, True, None, [], {}),
]
FIELDS = ("user_id", "name", "gender", "address", "date_of_birth", "email_address", "height_cm")
MORE_FIELDS = ("weight_kg", "account_create_date", "bike_serial", "original_source")
TABLES = ("rides", "readings", "riders", "bikes")
# Both halves of a second, and the facts of a rider, as any line may tell them.
REFUSE = """
ALTER TABLE readings ADD CHECK (resistance <> 163), ADD CHECK (cadence_rpm <> 133);
ALTER TABLE riders ADD CHECK (weight_kg <> 70);
"""


def extreme(value: bytes, rng: random.Random) -> bytes:
    """An announcement like the others but for one of its values; any other line as it is."""
    try:
        begun, mark, payload = json.loads(value)["log"].partition("[SYSTEM] data = ")
        facts = json.loads(payload)
    except (ValueError, LookupError, TypeError, AttributeError):
        # The simulator has cut or spoiled it already.
        return value
    told = facts | {rng.choice(FIELDS + MORE_FIELDS): rng.choice(EXTREMES)}
    return json.dumps({"log": f"{begun}{mark}{json.dumps(told)}\n"}).encode()


def mutated(value: bytes, rng: random.Random) -> bytes:
    """A message with one to four of its bytes replaced, removed, doubled or swapped."""
    data = bytearray(value)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(data) + 1)
        match rng.randrange(5):
            case 0:
                data[at : at + 1] = rng.choice(TYPICAL)
            case 1:
                del data[at : at + rng.randint(1, 12)]
            case 2:
                data[at:at] = data[at : at + rng.randint(1, 12)]
            case 3:
                data[at:at] = rng.randbytes(rng.randint(1, 4))
            case 4:
                del data[at:]
    return bytes(data)


def messages(count: int, seed: int) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of a faulty fleet, of which two in three are mutated on top."""
    rng = random.Random(seed)  # noqa: S311 - repeatable, not secret
    until_at = START_AT + timedelta(days=30)
    plan = FleetPlan(
        START_AT,
        bikes=200,
        seed=seed,
        until_at=until_at,
        back_to_back=True,
        faults=FAULT_PRESETS["heavy"],
    )
    for message in islice(simulate(plan), count):
        whole = rng.random() < 1 / 3
        if whole and b"[SYSTEM]" in message.value:
            yield message.key, extreme(message.value, rng)
        else:
            yield message.key, message.value if whole else mutated(message.value, rng)


class Letters(Publisher):
    """Counts the dead letters that would be sent; sends nothing."""

    def __init__(self) -> None:
        super().__init__(
            IngestorSettings.model_validate(
                {"database_url": "postgresql://db", "kafka_bootstrap_servers": "nowhere:9092"}
            )
        )
        self.reasons: Counter[str] = Counter()

    async def publish(
        self,
        partition: int,  # noqa: ARG002
        assembled: Assembled,  # noqa: ARG002
        refused: Sequence[RefusedRecord],
    ) -> None:
        """Count."""
        self.reasons.update(letter.refusal.reason for letter in refused)


async def store(url: str, count: int, seed: int) -> Counter[str]:
    """Bring the first lines to a database that refuses some; return what came of them."""
    letters = Letters()
    async with await connect_pool(url, size=4, application="ingestor") as pool:
        await pool.execute(REFUSE)
        days = ReadingDays(pool, 0, START_AT.date)
        outlets = Outlets(pool, days, letters, Health())
        worker = PartitionWorker(await claim_partition(pool, "deloton", 0), outlets)
        records = [
            FakeRecord(offset=offset, key=key, value=value, timestamp=0)
            for offset, (key, value) in enumerate(messages(count, seed))
        ]
        for first in range(0, count, BATCH):
            await worker.process(records[first : first + BATCH])
        stored = Counter(
            {
                table: await pool.fetchval(f"SELECT count(*) FROM {table}")  # noqa: S608
                for table in TABLES
            }
        )
        counted = await pool.fetchval("SELECT sum(line_count) FROM refused_lines")
    if worker.next_offset != count or counted != letters.reasons.total():
        raise AssertionError("the partition did not reach its end, or letters were not counted")
    return stored + letters.reasons


def main() -> None:
    """Run them through and print what came out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--stored", type=int, default=100_000, help="lines stored besides")
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    streams: dict[bytes, Stream] = {}
    out, counts = Assembled(), Counter[str]()
    begun = time.perf_counter()
    for number, (key, value) in enumerate(messages(options.lines, options.seed)):
        record = FakeRecord(offset=number, key=key, value=value, timestamp=0)
        parsed = parse_message(value)
        if isinstance(parsed, Refusal):
            out.refuse(record, parsed)
            continue
        if isinstance(parsed, DoubtfulLine):
            out.refuse(record, parsed.refusal)
        line = parsed.line if isinstance(parsed, DoubtfulLine) else parsed
        counts[type(line).__name__] += 1
        streams.setdefault(key, Stream(key)).accept(line, record, out)
    place(out, {})
    counts.update(f"refused: {letter.refusal.reason}" for letter in out.refused)
    seconds = time.perf_counter() - begun
    counts["repeats"] = out.repeats
    counts["rides"], counts["readings"] = len(out.started), len(out.readings)
    print(f"{options.lines:,} lines of seed {options.seed} in {seconds:.0f} s; {machine()}\n")
    print("| | |\n|---|--:|")
    for name, count in sorted(counts.items()):
        print(f"| {name} | {count:,} |")
    begun = time.perf_counter()
    with Guardian() as guardian, EmbeddedPostgres(guardian) as postgres:
        url = postgres.create_database("mutated")
        migrate(url)
        stored = asyncio.run(store(url, options.stored, options.seed))
    seconds = time.perf_counter() - begun
    print(f"\n{options.stored:,} of them into PostgreSQL in {seconds:.0f} s\n")
    print("| | |\n|---|--:|")
    for name, count in sorted(stored.items()):
        print(f"| {name} | {count:,} |")


if __name__ == "__main__":
    main()
