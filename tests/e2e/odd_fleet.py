"""`python -m tests.e2e.odd_fleet SEED`: a history that is played while other things happen.

Some bikes with hours of rides, months ago: clocks are set in mid-ride, riders told again or changed
there, and their producer sends windows of 1 to 4,000 lines twice, at once or much later.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Iterator
from itertools import islice, zip_longest

from aiokafka import AIOKafkaProducer

from deloton.running.settings import KafkaSettings
from deloton.testing import a_message_of
from deloton.wire.kafka import client_options
from tests.odd_feed import OddFeed

BIKES = 4
RIDES = 60
LONGEST_RIDE_S = 300
# More than half of what comes has come before.
WINDOWS = 40
LONGEST_WINDOW = 4_000
# A history: what its clocks show at the end is past, too.
JUMPS_S = (3_600.0, 36_000.0)
# Of all bikes together: faster than life, or it would be no history, and for three minutes.
LINES_A_SECOND = 1_200
LINES_AT_ONCE = 120


def history(seed: int) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values, the bikes in turn."""
    bikes = [_lines_of(seed, number) for number in range(BIKES)]
    for turn in zip_longest(*bikes):
        yield from (message for message in turn if message is not None)


def _lines_of(seed: int, number: int) -> list[tuple[bytes, bytes]]:
    serial = f"ODD{number}"
    feed = OddFeed(
        seed * BIKES + number,
        "a clock that is set, a second rider",
        bike_serial=serial,
        first_rider=800_000_000 + 10_000 * number,
        jumps_s=JUMPS_S,
    ).ride(RIDES, LONGEST_RIDE_S)
    lines = feed.with_repeats(WINDOWS, LONGEST_WINDOW)
    return [(serial.encode(), a_message_of(line)) for line in lines]


async def play(seed: int) -> None:
    """Send it until SIGTERM comes; what was begun to be sent is on the topic then."""
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    producer = AIOKafkaProducer(
        **client_options(KafkaSettings.from_environment()), acks="all", request_timeout_ms=300_000
    )
    await producer.start()
    messages = history(seed)
    while not ended.is_set() and (some := list(islice(messages, LINES_AT_ONCE))):
        for key, value in some:
            await producer.send(os.environ["RAW_TOPIC"], key=key, value=value)
        await asyncio.sleep(LINES_AT_ONCE / LINES_A_SECOND)
    await producer.stop()
    await ended.wait()


if __name__ == "__main__":
    asyncio.run(play(int(sys.argv[1])))
