"""What PostgreSQL refuses is set apart, alone, however it comes to be refused."""

from collections.abc import AsyncIterator, Sequence

import asyncpg
import pytest
import pytest_asyncio

from deloton.feed.log_lines import LogLine
from deloton.store.database import connect_pool
from deloton.testing import (
    BIKE,
    FakeRecord,
    ManualClock,
    a_record,
    a_ride_line,
    a_rider,
    a_second,
    a_telemetry_line,
    a_whole_ride,
    an_announcement,
    at,
    records_of,
    seconds_of_a_ride,
)
from ingestor import metrics
from ingestor.partition_state import REPLAY_HEADER
from ingestor.partition_worker import PartitionWorker
from tests.integration.ingestor.claimed import everything, rows
from tests.integration.ingestor.workers import RecordingPublisher, a_worker

CURSED = 66


@pytest_asyncio.fixture
async def narrow(database_url: str) -> AsyncIterator[asyncpg.Pool]:
    """A database of the test's own that takes no resistance, height or ride's maximum of 66."""
    async with await connect_pool(database_url, size=8, application="tests") as pool:
        for table, column in (
            ("readings", "resistance"),
            ("readings", "cadence_rpm"),
            ("riders", "height_cm"),
            ("rides", "max_heart_rate_bpm"),
        ):
            await pool.execute(f"ALTER TABLE {table} ADD CHECK ({column} <> {CURSED})")
        yield pool


def letters(publisher: RecordingPublisher) -> list[tuple[int, str]]:
    """The offsets and details of what was refused by the database."""
    return [
        (letter.record.offset, letter.refusal.detail)
        for letter in publisher.refused
        if letter.refusal.reason == "refused_by_database"
    ]


def refused(*offsets: int) -> list[tuple[int, str]]:
    return [(offset, "CheckViolationError (23514)") for offset in offsets]


async def process(
    worker: PartitionWorker, lines: Sequence[LogLine], key: bytes = BIKE.encode()
) -> None:
    await worker.process(records_of(lines, first_offset=worker.next_offset, key=key))


async def fall_silent(worker: PartitionWorker, clock: ManualClock) -> None:
    for _ in range(40):
        clock.pass_by(1)
        await worker.watch(worker.next_offset)


@pytest.mark.parametrize("good", [0, 1, 2, 7, 30])
async def test_a_batch_is_halved_until_the_culprit_is_alone_wherever_it_stands(
    narrow: asyncpg.Pool, good: int
) -> None:
    publisher = RecordingPublisher()
    worker = await a_worker(narrow, publisher=publisher)
    before, after = a_whole_ride(3), a_whole_ride(3, began_s=100)
    cursed = an_announcement(50, rider=a_rider(height_cm=CURSED), bike_serial="SN2")
    await process(worker, [*before[:good], cursed, *before[good:], *after])
    assert letters(publisher) == refused(min(good, len(before)))
    assert worker.next_offset == 21
    counts = await rows(narrow, "SELECT count(*) FROM readings GROUP BY ride_id")
    assert [row["count"] for row in counts] == [3, 3]
    [counted] = await rows(narrow, "SELECT reason, line_count FROM refused_lines")
    assert counted == {"reason": "refused_by_database", "line_count": 1}


async def test_each_of_several_culprits_is_one_letter_and_other_letters_are_sent_once(
    narrow: asyncpg.Pool,
) -> None:
    publisher = RecordingPublisher()
    worker = await a_worker(narrow, publisher=publisher)
    cursed = a_telemetry_line(3.9, cadence_rpm=CURSED)
    records = [
        *records_of([*a_whole_ride(3), cursed]),
        a_record(b"rubbish", offset=11),
        *records_of([*a_second(4), a_telemetry_line(4.9, cadence_rpm=CURSED)], first_offset=12),
    ]
    await worker.process(records)
    assert letters(publisher) == refused(10, 14)
    assert sorted(letter.record.offset for letter in publisher.refused) == [10, 11, 14]
    assert await narrow.fetchval("SELECT count(*) FROM readings") == 4


async def test_the_half_that_is_refused_is_the_letter_and_its_other_half_is_stored(
    narrow: asyncpg.Pool,
) -> None:
    publisher = RecordingPublisher()
    worker = await a_worker(narrow, publisher=publisher)
    await process(worker, [*a_whole_ride(3), a_ride_line(4, resistance=CURSED)])
    await process(worker, [a_telemetry_line(4.5), *a_second(5)])
    stored = await rows(narrow, "SELECT at, elapsed_s FROM readings ORDER BY at")
    assert [(row["at"], row["elapsed_s"]) for row in stored][3:] == [(at(4.5), None), (at(5.5), 5)]


@pytest.mark.parametrize("size", [1, 3, 100])
async def test_what_was_set_apart_is_forgotten_by_the_next_worker_too(
    narrow: asyncpg.Pool, size: int
) -> None:
    lines = [
        *a_whole_ride(3, rider=a_rider()),
        a_ride_line(4, resistance=CURSED),
        a_telemetry_line(4.5),
        *a_second(5),
        an_announcement(50, rider=a_rider(height_cm=CURSED)),
        *a_second(6),
    ]
    records = records_of(lines)
    for first in range(0, len(records), size):
        await (await a_worker(narrow)).process(records[first : first + size])
    stored = await everything(narrow)
    assert [row["elapsed_s"] for row in stored["readings"]] == [1, 2, 3, None, 5, 6]
    assert len(stored["rides"]) == 1


async def test_a_line_after_a_ride_whose_end_is_refused_is_no_culprit(
    narrow: asyncpg.Pool,
) -> None:
    publisher = RecordingPublisher()
    worker = await a_worker(narrow, publisher=publisher)
    cursed: list[LogLine] = [a_ride_line(4), a_telemetry_line(4.5, heart_rate_bpm=CURSED)]
    await process(worker, [an_announcement(), *cursed, *a_whole_ride(3, began_s=100)])
    assert letters(publisher) == []
    ends = await rows(narrow, "SELECT started_at, ended_at FROM rides ORDER BY started_at")
    assert [row["ended_at"] for row in ends] == [None, None]
    assert await narrow.fetchval("SELECT count(*) FROM readings") == 4


async def test_an_end_by_silence_that_is_refused_holds_up_no_other_and_no_worker(
    narrow: asyncpg.Pool,
) -> None:
    clock = ManualClock()
    worker = await a_worker(narrow, clock)
    cursed: list[LogLine] = [a_ride_line(1), a_telemetry_line(1.5, heart_rate_bpm=CURSED)]
    await process(worker, [an_announcement(bike_serial="SN2"), *cursed], key=b"SN2")
    await process(worker, [*a_whole_ride(3), a_ride_line(4, resistance=CURSED)])
    before = refusals()
    await fall_silent(worker, clock)
    ends = await rows(narrow, "SELECT bike_serial, ended_at FROM rides ORDER BY bike_serial")
    assert [(row["bike_serial"], row["ended_at"]) for row in ends] == [
        (BIKE, at(3.5)),
        ("SN2", None),
    ]
    assert refusals() - before == 2
    await process(worker, a_whole_ride(2, began_s=500))
    assert await narrow.fetchval("SELECT count(*) FROM rides") == 3


@pytest.mark.parametrize("size", [1, 2, 100])
@pytest.mark.parametrize("name", ["the same rider", "another rider"])
async def test_a_rider_told_in_mid_ride_who_is_refused_is_the_letter_and_no_later_line(
    narrow: asyncpg.Pool, size: int, name: str
) -> None:
    publisher = RecordingPublisher()
    rider_id = 7001 if name == "the same rider" else 7002
    cursed = an_announcement(3.75, rider=a_rider(rider_id, height_cm=CURSED))
    lines = [*a_whole_ride(3, rider=a_rider()), cursed, *seconds_of_a_ride(4, 6)]
    records = records_of(lines)
    for first in range(0, len(records), size):
        worker = await a_worker(narrow, publisher=publisher)
        await worker.process(records[first : first + size])
    assert letters(publisher) == refused(lines.index(cursed))
    [ride] = await rows(narrow, "SELECT rider_id FROM rides")
    assert ride == {"rider_id": 7001}
    counts = await rows(narrow, "SELECT elapsed_s FROM readings ORDER BY at")
    assert [row["elapsed_s"] for row in counts] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("size", [1, 100])
async def test_a_telemetry_line_that_is_held_and_refused_is_the_letter_and_its_ride_begins(
    narrow: asyncpg.Pool, size: int
) -> None:
    publisher = RecordingPublisher()
    lines = [a_telemetry_line(6.5, cadence_rpm=CURSED), *seconds_of_a_ride(7, 9)]
    records = records_of(lines)
    for first in range(0, len(records), size):
        worker = await a_worker(narrow, publisher=publisher)
        await worker.process(records[first : first + size])
    assert letters(publisher) == refused(0)
    counts = await rows(narrow, "SELECT elapsed_s FROM readings ORDER BY at")
    assert [row["elapsed_s"] for row in counts] == [7, 8, 9]


@pytest.mark.parametrize("size", [1, 100])
async def test_a_telemetry_line_beside_its_ride_line_that_is_refused_is_the_letter(
    narrow: asyncpg.Pool, size: int
) -> None:
    publisher = RecordingPublisher()
    late = [a_ride_line(4), a_telemetry_line(6.75, cadence_rpm=CURSED), *a_second(7)]
    records = records_of([*a_whole_ride(3), *late, *a_second(8)])
    for first in range(0, len(records), size):
        worker = await a_worker(narrow, publisher=publisher)
        await worker.process(records[first : first + size])
    assert letters(publisher) == refused(11)
    counts = await rows(narrow, "SELECT elapsed_s FROM readings ORDER BY at")
    assert [row["elapsed_s"] for row in counts] == [1, 2, 3, 4, 7, 8]


async def test_a_rider_who_is_refused_is_the_letter_and_not_the_one_who_was_told_before(
    narrow: asyncpg.Pool,
) -> None:
    publisher = RecordingPublisher()
    worker = await a_worker(narrow, publisher=publisher)
    await process(
        worker, [*a_whole_ride(3, rider=a_rider()), an_announcement(3.75, rider=a_rider(7002))]
    )
    await process(worker, [an_announcement(4.25, rider=a_rider(7003, height_cm=CURSED))])
    await process(worker, a_whole_ride(2, began_s=200, rider=a_rider(7004)))
    assert letters(publisher) == refused(11)
    riders = await rows(narrow, "SELECT rider_id FROM rides ORDER BY started_at")
    assert [row["rider_id"] for row in riders] == [7001, 7002, 7004]


@pytest.mark.parametrize("size", [1, 3, 100])
async def test_a_ride_whose_end_is_refused_costs_no_line_where_the_next_announcement_is_lost(
    narrow: asyncpg.Pool, size: int
) -> None:
    publisher = RecordingPublisher()
    cursed: list[LogLine] = [a_ride_line(1), a_telemetry_line(1.5, heart_rate_bpm=CURSED)]
    lines = [an_announcement(), *cursed, *seconds_of_a_ride(1, 3, began_s=100)]
    records = records_of(lines)
    for first in range(0, len(records), size):
        worker = await a_worker(narrow, publisher=publisher)
        await worker.process(records[first : first + size])
    assert letters(publisher) == []
    stored = await rows(
        narrow,
        "SELECT started_at, count(*) FROM rides JOIN readings USING (ride_id) GROUP BY 1 "
        "ORDER BY 1",
    )
    assert [(row["started_at"], row["count"]) for row in stored] == [(at(0), 1), (at(100), 3)]


async def test_an_end_that_is_refused_is_not_the_fault_of_the_rider_who_is_held(
    narrow: asyncpg.Pool,
) -> None:
    publisher = RecordingPublisher()
    worker = await a_worker(narrow, publisher=publisher)
    cursed: list[LogLine] = [a_ride_line(1), a_telemetry_line(1.5, heart_rate_bpm=CURSED)]
    await process(worker, [an_announcement(rider=a_rider()), *cursed])
    await process(worker, [an_announcement(1.75, rider=a_rider(7002)), *seconds_of_a_ride(2, 4)])
    assert letters(publisher) == []
    stored = await rows(
        narrow, "SELECT rider_id, count(*) FROM rides JOIN readings USING (ride_id) GROUP BY 1"
    )
    assert {row["rider_id"]: row["count"] for row in stored} == {7001: 1, 7002: 3}


async def test_a_rider_who_is_held_and_refused_in_silence_is_the_letter_and_the_ride_ends(
    narrow: asyncpg.Pool,
) -> None:
    clock, publisher = ManualClock(), RecordingPublisher()
    worker = await a_worker(narrow, clock, publisher)
    cursed = an_announcement(3.75, rider=a_rider(7002, height_cm=CURSED))
    await process(worker, [*a_whole_ride(3, rider=a_rider()), cursed])
    await fall_silent(worker, clock)
    assert letters(publisher) == refused(10)
    [ride] = await rows(narrow, "SELECT rider_id, ended_at FROM rides")
    assert ride == {"rider_id": 7001, "ended_at": at(3.5)}


async def test_ends_by_silence_that_are_refused_are_asked_for_once_however_many(
    narrow: asyncpg.Pool,
) -> None:
    clock = ManualClock()
    worker = await a_worker(narrow, clock)
    for serial in ("SN1", "SN2", "SN3"):
        cursed: list[LogLine] = [a_ride_line(1), a_telemetry_line(1.5, heart_rate_bpm=CURSED)]
        await process(worker, [an_announcement(bike_serial=serial), *cursed], key=serial.encode())
    before = refusals()
    await fall_silent(worker, clock)
    await fall_silent(worker, clock)
    assert refusals() - before == 3


async def test_a_letter_that_is_sent_again_and_refused_again_stops_nobody(
    narrow: asyncpg.Pool,
) -> None:
    publisher = RecordingPublisher()
    worker = await a_worker(narrow, publisher=publisher)
    await process(worker, [*a_second(1), *a_second(3), *a_whole_ride(2, began_s=200)])
    [again] = records_of([a_telemetry_line(2.5, cadence_rpm=CURSED)], first_offset=12)
    replayed = a_record(again.value, offset=12, headers=[(REPLAY_HEADER, b"0/0")])
    await worker.process([replayed, *later(a_second(3, began_s=200), 13)])
    assert letters(publisher) == refused(12)
    assert await narrow.fetchval("SELECT count(*) FROM readings") == 5


def later(lines: Sequence[LogLine], first_offset: int) -> list[FakeRecord]:
    return records_of(lines, first_offset=first_offset)


def refusals() -> float:
    """How often the metric says that PostgreSQL refused something."""
    [family] = metrics.REFUSED_BY_DATABASE.collect()
    return sum(sample.value for sample in family.samples if sample.name.endswith("_total"))
