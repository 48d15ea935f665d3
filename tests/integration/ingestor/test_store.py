"""Rows move with their offset: exactly once, whoever repeats what."""

import asyncio
import statistics
from typing import Any

import asyncpg
import pytest

from deloton.errors import PartitionLost
from deloton.events import Gender
from deloton.feed.assembly import Assembled
from deloton.feed.log_lines import LogLine, Marker
from deloton.store.deletions import DELETING
from deloton.testing import (
    BIKE,
    a_message,
    a_reading,
    a_record,
    a_ride_line,
    a_rider,
    a_second,
    a_start,
    a_telemetry_line,
    a_whole_ride,
    an_announcement,
    at,
    records_of,
    seconds_of_a_ride,
)
from ingestor import claims, store
from tests.integration.ingestor.claimed import ClaimedPartition, everything, rows

DAY_S = 86_400
YEAR_S = 365 * DAY_S


async def offset(pool: asyncpg.Pool) -> int:
    value: int = await pool.fetchval("SELECT next_offset FROM ingest_offsets")
    return value


async def rides(pool: asyncpg.Pool) -> list[dict[str, Any]]:
    return await rows(pool, "SELECT * FROM rides ORDER BY started_at, bike_serial")


# A batch


async def test_a_batch_is_stored_whole(pool: asyncpg.Pool) -> None:
    partition = await ClaimedPartition.of(pool)
    await partition.take(a_whole_ride(3, rider=a_rider()))
    stored = await everything(pool)
    assert stored["bikes"] == [{"serial": BIKE, "firmware": "mendoza v9"}]
    [ride] = stored["rides"]
    assert (ride["rider_id"], ride["started_at"], ride["ended_at"]) == (7001, at(0), None)
    assert [reading["at"] for reading in stored["readings"]] == [at(1.5), at(2.5), at(3.5)]
    assert await offset(pool) == 10


async def test_every_field_of_a_reading_and_of_a_rider_is_stored(pool: asyncpg.Pool) -> None:
    partition = await ClaimedPartition.of(pool)
    rider = a_rider(gender=Gender.OTHER, last_name="O'Brien-Smith; DROP")
    lines: list[LogLine] = [
        an_announcement(rider=rider),
        a_ride_line(1, resistance=151),
        a_telemetry_line(1.5, heart_rate_bpm=126, cadence_rpm=38, power_watts=8.962429663),
    ]
    await partition.take(lines)
    [row] = await rows(pool, "SELECT * FROM readings")
    del row["ride_id"]
    assert row == {
        "at": at(1.5), "elapsed_s": 1.0, "heart_rate_bpm": 126, "cadence_rpm": 38,
        "resistance": 151, "power_watts": 8.962429663,
    }  # fmt: skip
    [row] = await rows(pool, "SELECT * FROM riders")
    assert row == {
        "rider_id": 7001, "title": "Ms", "first_name": "Ada", "last_name": "O'Brien-Smith; DROP",
        "gender": "other", "born_on": rider.born_on, "email": "ada@example.com", "height_cm": 171,
        "weight_kg": 64, "flat": "Flat 9b", "street": "Example lane", "town": "Exampleton",
        "postcode": "EX4 4MP", "account_created_on": rider.account_created_on,
        "original_source": "google ads", "seen_at": at(0),
    }  # fmt: skip


READINGS = [
    a_reading(at_s=1),
    a_reading(at_s=2, heart_rate_bpm=None),
    a_reading(at_s=3, elapsed_s=None, resistance=None),
    a_reading(at_s=4, heart_rate_bpm=None, cadence_rpm=None, power_watts=None),
    a_reading(at_s=5, heart_rate_bpm=32_767, cadence_rpm=0, resistance=0, power_watts=-1.5e-05),
    a_reading(at_s=-30 * YEAR_S, elapsed_s=8_640_000.0, power_watts=1e100),
    a_reading(at_s=0.000001),
]


async def test_a_server_takes_our_binary_copy_as_it_is_meant(pool: asyncpg.Pool) -> None:
    partition = await ClaimedPartition.of(pool)
    await partition.commit(Assembled(readings=READINGS), 1)
    names = ("at", "elapsed_s", "resistance", "heart_rate_bpm", "cadence_rpm", "power_watts")
    stored = await rows(pool, f"SELECT ride_id, {', '.join(names)} FROM readings ORDER BY at")
    expected = [
        {"ride_id": 1} | {name: getattr(reading, name) for name in names}
        for reading in sorted(READINGS, key=lambda reading: reading.at)
    ]
    assert stored == expected


# Repeats


async def test_storing_a_batch_twice_leaves_one_row_per_reading(pool: asyncpg.Pool) -> None:
    lines = [*a_whole_ride(3, rider=a_rider()), *a_whole_ride(2, began_s=10)]
    lines += [a_ride_line(3, at_s=13)]
    await (await ClaimedPartition.of(pool)).take(lines)
    before = await everything(pool)
    await pool.execute("UPDATE ingest_offsets SET next_offset = 0, notes = ''")
    await pool.execute("DELETE FROM ingest_streams")
    await (await ClaimedPartition.of(pool)).take(lines)
    assert await everything(pool) == before


async def test_a_crash_between_the_transactions_leaves_rides_that_are_taken_up(
    pool: asyncpg.Pool,
) -> None:
    first = await ClaimedPartition.of(pool)
    batch = await first.assemble(a_whole_ride(3))
    await store.store_rides(pool, first.claim, batch.assembled.started)
    [ride] = await rides(pool)
    second = await ClaimedPartition.of(pool)
    assert second.next_offset == 0
    await second.take(a_whole_ride(3))
    assert [row["ride_id"] for row in await rides(pool)] == [ride["ride_id"]]
    assert await pool.fetchval("SELECT count(*) FROM readings") == 3


async def test_a_commit_whose_answer_was_lost_can_be_repeated(pool: asyncpg.Pool) -> None:
    partition = await ClaimedPartition.of(pool)
    batch = await partition.take([*a_whole_ride(3), a_ride_line(4)])
    before = await everything(pool)
    partition.next_offset = 0
    await partition.commit(batch.assembled, batch.next_offset)
    assert await everything(pool) == before


async def test_an_end_by_silence_whose_answer_was_lost_can_be_repeated(pool: asyncpg.Pool) -> None:
    partition = await ClaimedPartition.of(pool)
    await partition.take([*a_whole_ride(3), a_ride_line(4)])
    ended = partition.state.end_silent_rides(heard_before=1.0)
    await partition.commit(ended, partition.next_offset)
    before = await everything(pool)
    await partition.commit(ended, partition.next_offset)
    assert await everything(pool) == before
    assert before["rides"][0]["reading_count"] == 4


async def test_readings_that_are_there_already_stay_as_they_are(pool: asyncpg.Pool) -> None:
    partition = await ClaimedPartition.of(pool)
    await partition.commit(Assembled(readings=[a_reading(power_watts=1.0)]), 1)
    again = [a_reading(power_watts=2.0), a_reading(at_s=2.5), a_reading(at_s=2.5)]
    await partition.commit(Assembled(readings=again), 2)
    stored = await rows(pool, "SELECT at, power_watts FROM readings ORDER BY at")
    assert [tuple(row.values()) for row in stored] == [(at(1.5), 1.0), (at(2.5), 100.0)]


# Enough for the first of them to be forgotten by its stream.
THREE_RIDES = [
    *a_whole_ride(3),
    *a_whole_ride(2, began_s=10),
    *a_whole_ride(2, began_s=20),
]


@pytest.mark.parametrize("restarted", [False, True])
async def test_late_seconds_of_a_ride_long_over_are_stored_where_they_belong(
    pool: asyncpg.Pool, restarted: bool
) -> None:
    partition = await ClaimedPartition.of(pool)
    await partition.take(THREE_RIDES)
    if restarted:
        partition = await ClaimedPartition.of(pool)
    await partition.take(a_whole_ride(5))
    assert [row["ended_at"] for row in await rides(pool)] == [at(5.5), at(12.5), None]
    [again, *_] = await rides(pool)
    assert (again["reading_count"], again["duration_s"]) == (5, 5)
    assert (await rides(pool))[2]["ride_id"] == await pool.fetchval(
        "SELECT ride_id FROM ingest_streams"
    )


async def test_the_announcement_of_a_ride_long_over_changes_no_row(pool: asyncpg.Pool) -> None:
    """Rides A, B, C; in the middle of C the `[SYSTEM]` line of A once more."""
    lines = [
        line
        for number in range(5)
        for line in a_whole_ride(50, began_s=number * 55, rider=a_rider(number))
    ]
    partition = await ClaimedPartition.of(pool)
    await partition.take(lines[:450])
    before = await everything(pool)
    await partition.take([lines[3]])
    await (await ClaimedPartition.of(pool)).take([lines[3], *lines[100:200]])
    after = await everything(pool)
    assert after | {"offsets": None} == before | {"offsets": None}


async def test_a_ride_that_ends_twice_in_a_batch_ends_when_it_ended_last(
    pool: asyncpg.Pool,
) -> None:
    lines = [*THREE_RIDES, *a_whole_ride(5), *a_whole_ride(2, began_s=30)]
    await (await ClaimedPartition.of(pool)).take(lines)
    [ride, *_] = await rides(pool)
    assert (ride["ended_at"], ride["reading_count"]) == (at(5.5), 5)


# Claims


async def test_a_worker_with_an_old_claim_writes_nothing(pool: asyncpg.Pool) -> None:
    zombie = await ClaimedPartition.of(pool)
    await zombie.take(a_whole_ride(1))
    owner = await ClaimedPartition.of(pool)
    assert owner.claim.number == zombie.claim.number + 1
    before = await everything(pool)
    batch = await zombie.assemble([*a_second(2), *a_whole_ride(1, began_s=10, rider=a_rider())])
    with pytest.raises(PartitionLost):
        await store.store_rides(pool, zombie.claim, batch.assembled.started)
    for change in batch.assembled.started:
        change.ride.ride_id = 99
    with pytest.raises(PartitionLost):
        await zombie.commit(batch.assembled, batch.next_offset)
    assert await everything(pool) == before


async def test_an_old_claim_cannot_end_rides_or_move_the_offset_back(pool: asyncpg.Pool) -> None:
    zombie = await ClaimedPartition.of(pool)
    await zombie.take(a_whole_ride(1))
    await ClaimedPartition.of(pool)
    before = await everything(pool)
    with pytest.raises(PartitionLost):
        await zombie.commit(zombie.state.end_silent_rides(1.0), zombie.next_offset)
    with pytest.raises(PartitionLost):
        await claims.rewind(pool, zombie.claim, (zombie.next_offset, 0))
    assert await everything(pool) == before


async def test_a_batch_must_begin_where_the_last_one_ended(pool: asyncpg.Pool) -> None:
    partition = await ClaimedPartition.of(pool)
    await partition.take(a_whole_ride(1))
    with pytest.raises(PartitionLost, match=r"deloton\[0\]"):
        await store.commit_batch(pool, partition.claim, (3, 20), Assembled(), [], b"")
    assert await offset(pool) == 6


async def test_a_claim_waits_for_the_batch_under_way(pool: asyncpg.Pool) -> None:
    partition = await ClaimedPartition.of(pool)
    batch = await partition.assemble(a_whole_ride(2))
    await store.store_rides(pool, partition.claim, batch.assembled.started)
    commit = asyncio.create_task(partition.commit(batch.assembled, batch.next_offset))
    successor = await ClaimedPartition.of(pool)
    outcome = (await asyncio.gather(commit, return_exceptions=True))[0]
    readings = await pool.fetchval("SELECT count(*) FROM readings")
    if isinstance(outcome, PartitionLost):
        assert (successor.next_offset, readings) == (0, 0)
    else:
        assert (successor.next_offset, readings) == (batch.next_offset, 2)


async def test_partitions_and_topics_have_offsets_of_their_own(pool: asyncpg.Pool) -> None:
    await (await ClaimedPartition.of(pool, 0)).take(a_whole_ride(1))
    assert (await ClaimedPartition.of(pool, 1)).next_offset == 0
    assert (await claims.claim_partition(pool, "another", 0)).next_offset == 0


async def test_rewinding_keeps_what_was_waiting(pool: asyncpg.Pool) -> None:
    partition = await ClaimedPartition.of(pool)
    await partition.take([*a_whole_ride(1), a_ride_line(2)])
    await claims.rewind(pool, partition.claim, (7, 0))
    successor = await ClaimedPartition.of(pool)
    assert successor.next_offset == 0
    assert successor.state.streams[BIKE.encode()].waiting == a_ride_line(2)


# Riders


@pytest.mark.parametrize("newer_first", [True, False])
async def test_the_newest_facts_about_a_rider_win(pool: asyncpg.Pool, newer_first: bool) -> None:
    old = a_whole_ride(1, rider=a_rider(weight_kg=80, email="old@example.com"))
    new = a_whole_ride(1, began_s=600, rider=a_rider(weight_kg=70, email=None))
    partition = await ClaimedPartition.of(pool)
    for lines in [new, old] if newer_first else [old, new]:
        await partition.take(lines)
    [rider] = await rows(pool, "SELECT weight_kg, email, seen_at FROM riders")
    assert rider == {"weight_kg": 70, "email": None, "seen_at": at(600)}


async def test_within_a_batch_too_the_newest_facts_win(pool: asyncpg.Pool) -> None:
    partition = await ClaimedPartition.of(pool)
    lines = [
        an_announcement(at_s, rider=a_rider(weight_kg=at_s), bike_serial=f"SN{at_s}")
        for at_s in (100, 300, 200)
    ]
    await partition.take(lines)
    assert await pool.fetchval("SELECT weight_kg FROM riders") == 300
    assert await pool.fetchval("SELECT count(*) FROM rides WHERE rider_id = 7001") == 3


async def erase(pool: asyncpg.Pool, erased_s: float) -> None:
    await pool.execute("DELETE FROM rides WHERE rider_id = 7001")
    await pool.execute("DELETE FROM riders WHERE rider_id = 7001")
    await pool.execute("INSERT INTO erasures VALUES (7001, $1)", at(erased_s))


async def test_lines_from_before_an_erasure_do_not_bring_the_rider_back(
    pool: asyncpg.Pool,
) -> None:
    await erase(pool, 100)
    batch = await (await ClaimedPartition.of(pool)).take(a_whole_ride(2, rider=a_rider()))
    assert await pool.fetchval("SELECT count(*) FROM riders") == 0
    assert [row["rider_id"] for row in await rides(pool)] == [None]
    assert batch.assembled.started[0].ride.rider_id is None


async def test_a_rider_who_comes_back_after_an_erasure_is_a_rider_again(
    pool: asyncpg.Pool,
) -> None:
    await erase(pool, 100)
    partition = await ClaimedPartition.of(pool)
    lines = [an_announcement(at_s, rider=a_rider()) for at_s in (50, 200, 100)]
    await partition.take(lines)
    assert [row["rider_id"] for row in await rides(pool)] == [None, None, 7001]
    await partition.take([an_announcement(60, rider=a_rider(weight_kg=1))])
    assert await pool.fetchval("SELECT weight_kg FROM riders") == 64


async def test_a_firmware_that_is_not_told_does_not_overwrite_a_known_one(
    pool: asyncpg.Pool,
) -> None:
    partition = await ClaimedPartition.of(pool)
    await partition.take(a_whole_ride(1))
    await partition.take(seconds_of_a_ride(1, 2, began_s=600))
    assert await rows(pool, "SELECT * FROM bikes") == [{"serial": BIKE, "firmware": "mendoza v9"}]


# Ends and totals


def powers(count: int) -> list[float]:
    return [(index * 37 % 101) / 7 for index in range(count)]


async def test_totals_of_an_ended_ride_equal_plain_python(pool: asyncpg.Pool) -> None:
    watts = powers(60)
    lines: list[LogLine] = [an_announcement()]
    for second, power in enumerate(watts, 1):
        lines += [
            a_ride_line(second, resistance=second % 170),
            a_telemetry_line(
                second + 0.5,
                heart_rate_bpm=None if second % 3 else 60 + second,
                cadence_rpm=second % 90,
                power_watts=power,
            ),
        ]
    await (await ClaimedPartition.of(pool)).take_to_the_end(
        [*lines, a_ride_line(61, resistance=30), Marker()]
    )
    [ride] = await rides(pool)
    heart_rates = [60 + second for second in range(1, 61) if second % 3 == 0]
    assert (ride["reading_count"], ride["duration_s"], ride["ended_at"]) == (61, 61, at(61))
    assert ride["mean_heart_rate_bpm"] == pytest.approx(statistics.mean(heart_rates))
    assert ride["max_heart_rate_bpm"] == 120
    assert ride["heart_rate_count"] == len(heart_rates)
    assert ride["mean_cadence_rpm"] == pytest.approx(30.5)
    assert ride["max_cadence_rpm"] == 60
    assert ride["mean_power_watts"] == pytest.approx(statistics.mean(watts))
    assert ride["max_power_watts"] == max(watts)
    assert ride["total_power_watts"] == pytest.approx(sum(watts))
    assert ride["energy_kj"] == pytest.approx(sum(watts) / 1000)
    assert ride["mean_resistance"] == pytest.approx((sum(range(1, 61)) + 30) / 61)


async def test_a_ride_without_a_reading_has_totals_of_nothing(pool: asyncpg.Pool) -> None:
    await (await ClaimedPartition.of(pool)).take_to_the_end([an_announcement(), Marker()])
    [ride] = await rides(pool)
    assert (ride["reading_count"], ride["duration_s"], ride["energy_kj"]) == (0, 0, 0)
    assert (ride["mean_heart_rate_bpm"], ride["max_power_watts"]) == (None, None)
    assert ride["ended_at"] == ride["started_at"]


async def test_a_ride_that_is_resumed_loses_its_totals_until_it_ends_again(
    pool: asyncpg.Pool,
) -> None:
    partition = await ClaimedPartition.of(pool)
    await partition.take_to_the_end([*a_whole_ride(3), Marker()])
    await partition.take(a_second(4))
    [ride] = await rides(pool)
    kept = {"ride_id", "rider_id", "bike_serial", "started_at", "implausible_count"}
    assert {name for name, value in ride.items() if value is not None} == kept - {"rider_id"}
    await partition.take_to_the_end([Marker()])
    [ride] = await rides(pool)
    assert (ride["reading_count"], ride["end_reason"]) == (4, "next_ride")


async def test_totals_cover_readings_on_both_sides_of_a_clock_jump(pool: asyncpg.Pool) -> None:
    lines = [*a_whole_ride(3), *seconds_of_a_ride(4, 5, began_s=-YEAR_S), *a_second(6)]
    for first, last in ((0, 9), (9, 12), (12, len(lines))):
        await (await ClaimedPartition.of(pool)).take(lines[first:last])
    await (await ClaimedPartition.of(pool)).take_to_the_end([Marker()])
    [ride] = await rides(pool)
    assert (ride["reading_count"], ride["duration_s"]) == (6, 6)


async def test_the_readings_of_a_ride_that_was_deleted_go_when_it_ends(pool: asyncpg.Pool) -> None:
    partition = await ClaimedPartition.of(pool)
    await partition.take(a_whole_ride(3))
    await pool.execute("DELETE FROM rides")
    await partition.take_to_the_end([*a_second(4), Marker()])
    assert await pool.fetchval("SELECT count(*) FROM readings") == 0


# Going on


SPLIT = [
    *a_whole_ride(3, rider=a_rider()),
    a_ride_line(4),
    a_telemetry_line(5.5),
    *seconds_of_a_ride(6, 7, began_s=YEAR_S),
    *seconds_of_a_ride(8, 9),
    Marker(),
    an_announcement(100, bike_serial="SN0042", rider=a_rider(7002)),
    *a_second(1, began_s=100),
    *seconds_of_a_ride(1, 2, began_s=200),
    Marker(),
]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8])
async def test_workers_that_take_turns_store_what_one_would_have(
    pool: asyncpg.Pool, size: int
) -> None:
    await (await ClaimedPartition.of(pool)).take(SPLIT)
    expected = await everything(pool)
    tables = "riders, bikes, rides, readings, ingest_streams, ingest_offsets"
    await pool.execute(f"TRUNCATE {tables} RESTART IDENTITY CASCADE")
    for first in range(0, len(SPLIT), size):
        await (await ClaimedPartition.of(pool)).take(SPLIT[first : first + size])
    assert await everything(pool) == expected


async def test_a_ride_goes_on_at_the_next_worker_with_its_id(pool: asyncpg.Pool) -> None:
    await (await ClaimedPartition.of(pool)).take(a_whole_ride(3, rider=a_rider()))
    successor = await ClaimedPartition.of(pool)
    batch = await successor.take(a_second(4))
    assert not batch.assembled.started
    assert batch.assembled.readings[0].ride.rider_id == 7001
    assert len(await rides(pool)) == 1


async def test_after_its_ride_was_deleted_a_stream_still_knows_its_bike(
    pool: asyncpg.Pool,
) -> None:
    await (await ClaimedPartition.of(pool)).take([*a_whole_ride(3), a_ride_line(4)])
    await pool.execute("DELETE FROM rides")
    await (await ClaimedPartition.of(pool)).take([*a_second(5), *a_second(1, began_s=100)])
    assert [row["bike_serial"] for row in await rides(pool)] == [BIKE]


# Deleted while they go on


async def delete(pool: asyncpg.Pool) -> None:
    await pool.execute("DELETE FROM readings")
    await pool.execute("DELETE FROM rides")


@pytest.mark.parametrize("with_successor", [False, True])
async def test_a_ride_deleted_while_it_goes_on_leaves_no_row_then_or_later(
    pool: asyncpg.Pool, with_successor: bool
) -> None:
    partition = await ClaimedPartition.of(pool)
    await partition.take(a_whole_ride(3, rider=a_rider()))
    await delete(pool)
    if with_successor:
        partition = await ClaimedPartition.of(pool)
    for second in (4, 5, 6):
        await partition.take(a_second(second))
        assert await pool.fetchval("SELECT count(*) FROM readings") == 0
    await partition.take_to_the_end([Marker()])
    assert (await rides(pool), await pool.fetchval("SELECT count(*) FROM readings")) == ([], 0)


@pytest.mark.parametrize("with_successor", [False, True])
@pytest.mark.parametrize("set_by_s", [-3600, 10, 3600])
async def test_a_ride_whose_clock_was_set_stays_deleted_whoever_goes_on_with_it(
    pool: asyncpg.Pool, set_by_s: float, with_successor: bool
) -> None:
    partition = await ClaimedPartition.of(pool)
    after = seconds_of_a_ride(31, 80, began_s=set_by_s)
    await partition.take([*a_whole_ride(30, rider=a_rider()), *after[:40]])
    await delete(pool)
    if with_successor:
        partition = await ClaimedPartition.of(pool)
    for first in range(40, len(after), 20):
        await partition.take(after[first : first + 20])
        assert await pool.fetchval("SELECT count(*) FROM readings") == 0
    await partition.take_to_the_end([Marker()])
    assert (await rides(pool), await pool.fetchval("SELECT count(*) FROM readings")) == ([], 0)


@pytest.mark.parametrize("again", [a_whole_ride(3, rider=a_rider()), seconds_of_a_ride(20, 22)])
async def test_a_deleted_ride_that_is_told_again_from_its_beginning_or_its_middle_stays_deleted(
    pool: asyncpg.Pool, again: list[LogLine]
) -> None:
    await (await ClaimedPartition.of(pool)).take(a_whole_ride(3, rider=a_rider()))
    await delete(pool)
    await pool.execute("TRUNCATE ingest_offsets, ingest_streams")
    other = a_whole_ride(3, began_s=-100, rider=a_rider(7002))
    await (await ClaimedPartition.of(pool)).take([*other, *again])
    assert [row["rider_id"] for row in await rides(pool)] == [7002]
    assert await pool.fetchval("SELECT count(*) FROM readings") == 3


async def test_a_deletion_waits_for_a_batch_under_way_and_finds_what_it_stored(
    pool: asyncpg.Pool,
) -> None:
    partition = await ClaimedPartition.of(pool)
    await partition.take(a_whole_ride(3))

    async def delete_alone() -> None:
        async with pool.acquire() as connection, connection.transaction():
            await connection.execute(DELETING)
            await connection.execute("DELETE FROM readings")
            await connection.execute("DELETE FROM rides")

    for second in range(4, 24):
        await asyncio.gather(partition.take(a_second(second)), delete_alone())
        assert await pool.fetchval("SELECT count(*) FROM readings") == 0


async def test_partitions_without_keys_do_not_share_a_bike(pool: asyncpg.Pool) -> None:
    for number in (0, 1):
        await (await ClaimedPartition.of(pool, number)).take(a_second(1), key=None)
    assert len({row["bike_serial"] for row in await rides(pool)}) == 2


async def test_overlapping_riders_and_bikes_from_many_partitions_do_not_deadlock(
    pool: asyncpg.Pool,
) -> None:
    partitions = [await ClaimedPartition.of(pool, number) for number in range(6)]

    async def store_all(partition: ClaimedPartition, forward: bool) -> None:
        for round_s in range(0, 500, 50):
            numbers = range(20) if forward else range(19, -1, -1)
            started = [
                a_start(round_s, rider=a_rider(number), bike_serial=f"SN{19 - number}")
                for number in numbers
            ]
            await store.store_rides(pool, partition.claim, started)

    await asyncio.gather(
        *(store_all(partition, index % 2 == 0) for index, partition in enumerate(partitions))
    )
    assert await pool.fetchval("SELECT count(*) FROM rides") == 200


# Lines that no bike should send must not stop the worker for ever


LONG = "".join(map(chr, range(500, 4500)))
ENDS_OF_TIME = ("0001-01-01 00:00:00.000000", "9999-12-31 23:59:59.999999")


def odd_telemetry(power: str) -> list[bytes]:
    text = f"2026-03-02 09:15:02.000000 m: [INFO]: Telemetry - hrt = 1; rpm = 1; power = {power}\n"
    return [a_message(text)]


@pytest.mark.parametrize(
    "odd",
    [odd_telemetry(power) for power in ("1e200", "-1e200", "1.7e308", "5e-324", "1e-322")]
    + [
        [a_message(f'{stamp} m: [SYSTEM] data = {{"user_id":7}}\n')] for stamp in ENDS_OF_TIME
    ]
    + [
        [a_message(f"{stamp} m: [INFO]: Ride - duration = 9.0; resistance = 0\n")]
        for stamp in ENDS_OF_TIME
    ]
    + [[a_message(f'2026-03-02 09:16:00.000000 m: [SYSTEM] data = {{"bike_serial":"{LONG}"}}\n')]],
)  # fmt: skip
async def test_a_line_that_is_hard_to_store_is_refused_or_stored(
    pool: asyncpg.Pool, odd: list[bytes]
) -> None:
    partition = await ClaimedPartition.of(pool)
    lines: list[LogLine] = [an_announcement(rider=a_rider())]
    lines += [a_telemetry_line(1.5, power_watts=0.0)]
    values = [record.value for record in records_of(lines)]
    following = [record.value for record in records_of([*a_whole_ride(2, began_s=600), Marker()])]
    records = [
        a_record(value, offset=offset) for offset, value in enumerate([*values, *odd, *following])
    ]
    batch = await partition.assemble_records(records)
    await partition.store(batch)
    assert await offset(pool) == len(records)


async def test_a_very_long_key_is_a_stream_like_any(pool: asyncpg.Pool) -> None:
    partition = await ClaimedPartition.of(pool)
    await partition.take(seconds_of_a_ride(1, 2), key=LONG.encode())
    await (await ClaimedPartition.of(pool)).take(a_second(3), key=LONG.encode())
    assert len(await rides(pool)) == 1


async def test_of_two_readings_at_one_stamp_none_is_lost(pool: asyncpg.Pool) -> None:
    partition = await ClaimedPartition.of(pool)
    lines = [an_announcement(), *a_second(1), a_ride_line(2, at_s=1.5), *a_second(3)]
    await partition.take_to_the_end([*lines, Marker()])
    stored = await rows(pool, "SELECT at, elapsed_s FROM readings ORDER BY at")
    assert [row["elapsed_s"] for row in stored] == [1.0, 2.0, 3.0]
    assert (await rides(pool))[0]["reading_count"] == 3
