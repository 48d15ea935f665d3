"""Fetched bytes unpacked a producer's batch at a time, as lists."""

import gc
import weakref
from collections.abc import Iterator

import pytest
from aiokafka import TopicPartition
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords

from ingestor.transport import WholeBatches


def a_batch(first_offset: int, values: list[bytes]) -> bytes:
    builder = DefaultRecordBatchBuilder(
        magic=2,
        compression_type=0,
        is_transactional=0,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        batch_size=1_000_000,
    )
    for offset, value in enumerate(values):
        assert builder.append(offset, 0, b"SN0000", value, [])
    built = bytearray(builder.build())
    # The broker writes where a batch begins; the checksum does not cover it.
    built[:8] = first_offset.to_bytes(8, "big")
    return bytes(built)


def fetched(fetch_offset: int = 0) -> WholeBatches:
    """Two batches, of three records and of two, as a broker's answer holds them."""
    raw = a_batch(0, [b"0", b"1", b"2"]) + a_batch(3, [b"3", b"4"])
    return WholeBatches(
        TopicPartition("deloton", 0), MemoryRecords(raw), [], fetch_offset, None, None, True, 0
    )


def taken(records: WholeBatches, most: int) -> Iterator[list[bytes]]:
    while records.has_more():
        yield [record.value for record in records.take(most)]


@pytest.mark.parametrize(
    ("most", "fetch_offset", "expected"),
    [
        (10, 0, [[b"0", b"1", b"2"], [b"3", b"4"]]),
        (2, 0, [[b"0", b"1"], [b"2"], [b"3", b"4"]]),
        (10, 1, [[b"1", b"2"], [b"3", b"4"]]),
    ],
)
def test_a_batch_is_taken_whole_or_in_parts_from_where_it_was_asked_for(
    most: int, fetch_offset: int, expected: list[list[bytes]]
) -> None:
    records = fetched(fetch_offset)
    assert list(taken(records, most)) == expected
    assert records.next_fetch_offset == 5


def test_what_was_fetched_is_freed_without_the_garbage_collector() -> None:
    gc.disable()
    try:
        records = fetched()
        list(taken(records, 10))
        remains = weakref.ref(records)
        del records
        assert remains() is None
    finally:
        gc.enable()
