"""What goes out to Kafka: to the partition it came from, in its order, and complete."""

from collections.abc import AsyncIterator

import msgspec
import pytest
import pytest_asyncio

from deloton.events import EndReason, HeartRate, RideEnded, RideEvent, RideResumed, RideStarted
from deloton.feed.assembly import Assembled, Ended, Resumed, Started
from deloton.feed.log_lines import Refusal, RefusalReason
from deloton.testing import BIKE, a_reading, a_record, a_ride, at
from demo.embedded_broker import EmbeddedBroker
from ingestor.partition_state import REPLAY_HEADER, RefusedRecord
from ingestor.publisher import CUT_HEADER, LONGEST_LETTER, Publisher
from ingestor.settings import IngestorSettings
from tests.conftest import unique
from tests.integration.ingestor.topics_read import read_topic, settings_for

PARTITIONS = 3
REFUSAL = Refusal(RefusalReason.NOT_JSON, "the message is no JSON")


@pytest.fixture
def settings(broker: EmbeddedBroker) -> IngestorSettings:
    return settings_for(broker, unique("publisher"))


@pytest_asyncio.fixture
async def publisher(broker: EmbeddedBroker, settings: IngestorSettings) -> AsyncIterator[Publisher]:
    """A publisher to topics of three partitions."""
    for topic in (
        settings.heart_rates_topic,
        settings.ride_events_topic,
        settings.dead_letters_topic,
    ):
        await broker.create_topic(topic, PARTITIONS)
    publisher = Publisher(settings)
    await publisher.start()
    yield publisher
    await publisher.stop()


async def test_heart_rates_go_to_the_partition_they_came_from(
    broker: EmbeddedBroker, settings: IngestorSettings, publisher: Publisher
) -> None:
    ride = a_ride(42, rider_id=7001)
    readings = [a_reading(ride, at_s=1.5), a_reading(ride, at_s=2.5, heart_rate_bpm=None)]
    await publisher.publish(2, Assembled(readings=readings), [])
    [message] = await read_topic(broker, settings.heart_rates_topic, 2)
    assert message.key == BIKE.encode()
    assert msgspec.json.decode(message.value, type=HeartRate) == HeartRate(
        42, 7001, at(1.5), 120, 60
    )
    assert await read_topic(broker, settings.heart_rates_topic, 0) == []


async def test_ride_events_come_in_the_order_in_which_they_happened(
    broker: EmbeddedBroker, settings: IngestorSettings, publisher: Publisher
) -> None:
    ride = a_ride(42)
    changes: list[Started | Ended | Resumed] = [
        Started(ride, None, None),
        Ended(ride, at(3), EndReason.SILENCE),
        Resumed(ride, at(60)),
    ]
    await publisher.publish(0, Assembled(changes=changes), [])
    messages = await read_topic(broker, settings.ride_events_topic)
    assert [msgspec.json.decode(message.value, type=RideEvent) for message in messages] == [
        RideStarted(42, BIKE, at(0), None),
        RideEnded(42, BIKE, at(3), EndReason.SILENCE),
        RideResumed(42, BIKE, at(60)),
    ]


@pytest.mark.parametrize(
    ("key", "value"),
    [(b"SN1", b"\xff\x00"), (None, b"x"), (b"SN1", None), (None, None), (b"", b"")],
)
async def test_a_dead_letter_is_the_message_as_it_came_and_says_why(
    broker: EmbeddedBroker,
    settings: IngestorSettings,
    publisher: Publisher,
    key: bytes | None,
    value: bytes | None,
) -> None:
    record = a_record(value, key=key, offset=17, headers=[(REPLAY_HEADER, b"0/3"), ("other", b"")])
    await publisher.publish(1, Assembled(), [RefusedRecord(record, REFUSAL)])
    [letter] = await read_topic(broker, settings.dead_letters_topic, 1)
    assert (letter.key, letter.value) == (key, value)
    assert dict(letter.headers) == {
        "topic": settings.raw_topic.encode(),
        "partition": b"1",
        "offset": b"17",
        "reason": b"not_json",
        "detail": b"the message is no JSON",
        REPLAY_HEADER: b"0/3",
    }


async def test_large_batches_are_split_and_stay_in_order(
    broker: EmbeddedBroker, settings: IngestorSettings, publisher: Publisher
) -> None:
    ride = a_ride(42)
    readings = [a_reading(ride, at_s=second) for second in range(10_000)]
    letters = [RefusedRecord(a_record(b"x" * 200_000, offset=n), REFUSAL) for n in range(5)]
    letters += [RefusedRecord(a_record(b"y" * 600_000, offset=5), REFUSAL)]
    await publisher.publish(0, Assembled(readings=readings), letters)
    messages = await read_topic(broker, settings.heart_rates_topic)
    samples = [msgspec.json.decode(message.value, type=HeartRate) for message in messages]
    assert [sample.measured_at for sample in samples] == [reading.at for reading in readings]
    found = await read_topic(broker, settings.dead_letters_topic)
    assert [dict(letter.headers)["offset"] for letter in found] == [
        b"0",
        b"1",
        b"2",
        b"3",
        b"4",
        b"5",
    ]
    assert [letter.value for letter in found] == [letter.record.value for letter in letters]


LIMIT = 1_048_588


@pytest.mark.parametrize(
    ("key", "value", "kept"),
    [
        (b"SN1", b"x" * (LIMIT - 100), (3, LONGEST_LETTER // 2)),
        (b"k" * (LIMIT - 100), b"x", (LONGEST_LETTER // 2, 1)),
        (None, b"x" * 3 * LIMIT, (None, LONGEST_LETTER // 2)),
        (b"k" * LIMIT, None, (LONGEST_LETTER // 2, None)),
    ],
    ids=["value", "key", "larger than any", "key alone"],
)
async def test_a_message_as_large_as_brokers_take_is_cut_to_make_room_for_the_headers(
    broker: EmbeddedBroker,
    settings: IngestorSettings,
    publisher: Publisher,
    key: bytes | None,
    value: bytes | None,
    kept: tuple[int | None, int | None],
) -> None:
    letter = RefusedRecord(a_record(value, key=key), REFUSAL)
    await publisher.publish(0, Assembled(), [letter])
    [found] = await read_topic(broker, settings.dead_letters_topic)
    assert tuple(part and len(part) for part in (found.key, found.value)) == kept
    assert int(dict(found.headers)[CUT_HEADER]) == len(key or b"") + len(value or b"")


async def test_nothing_to_tell_sends_nothing(
    broker: EmbeddedBroker, settings: IngestorSettings, publisher: Publisher
) -> None:
    await publisher.publish(0, Assembled(readings=[a_reading(heart_rate_bpm=None)]), [])
    assert await read_topic(broker, settings.heart_rates_topic) == []


async def test_a_publisher_that_was_not_started_says_so(settings: IngestorSettings) -> None:
    with pytest.raises(RuntimeError, match="not been started"):
        await Publisher(settings).publish(0, Assembled(), [])
