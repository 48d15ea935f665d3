"""What the streams of one partition hold in memory, with a ride in progress on each and after it.

A batch of 1,000 lines of 500 bikes, and the notes stored beside it, are timed while all ride.
"""

import argparse
import gc
import time
from collections.abc import Sequence

import psutil

from benchmarks.system import machine
from deloton.feed.assembly import NO_STAMP, Memory
from deloton.feed.log_lines import LogLine
from deloton.testing import (
    FakeRecord,
    a_message_of,
    a_record,
    a_whole_ride,
    seconds_of_a_ride,
)
from ingestor.partition_state import PartitionState, Question
from ingestor.partition_worker import SPARE_STREAMS

BIKES_A_BATCH = 500


def records_of_bikes(first: int, lines: Sequence[LogLine]) -> list[FakeRecord]:
    """These lines of each of the bikes from `first` on, as many as a batch takes."""
    messages = [a_message_of(line) for line in lines]
    return [
        a_record(message.replace(b"SN0000", key), offset=offset, key=key)
        for number in range(first, first + BIKES_A_BATCH)
        for key in [f"SN{number:07}".encode()]
        for offset, message in enumerate(messages)
    ]


def take(state: PartitionState, records: Sequence[FakeRecord]) -> None:
    """Take a batch of bikes of which nothing is stored, and forget what a worker forgets."""

    def answer(question: Question) -> None:
        state.memory.learn_newest(dict.fromkeys(question.serials, NO_STAMP))

    batch = state.assemble(records, time.monotonic(), answer)
    state.notes()
    state.forget_what_is_stored(batch.assembled)


def held_mb() -> float:
    """What this process holds of memory."""
    gc.collect()
    return psutil.Process().memory_info().rss / 1e6


def main() -> None:
    """Measure and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keys", type=int, default=200_000)
    keys = parser.parse_args().keys
    state = PartitionState(memory=Memory())
    take(state, records_of_bikes(keys, a_whole_ride(2)))
    before_mb = held_mb()
    for first in range(0, keys, BIKES_A_BATCH):
        take(state, records_of_bikes(first, a_whole_ride(2)))
    riding_mb = held_mb() - before_mb
    next_second = records_of_bikes(0, seconds_of_a_ride(3, 3))
    began_s = time.process_time()
    take(state, next_second)
    batch_ms = (time.process_time() - began_s) * 1000
    state.end_silent_rides(heard_before=time.monotonic())
    began_s = time.process_time()
    state.forget_spare(SPARE_STREAMS)
    forget_ms = (time.process_time() - began_s) * 1000
    print(f"{keys:,} keys; {machine()}\n")
    print("| | |\n|---|--:|")
    print(f"| MB while all ride | {riding_mb:.0f} |")
    print(f"| ms of CPU: a batch of {len(next_second):,} lines, with notes | {batch_ms:.1f} |")
    print(f"| ms of CPU: to forget the first 10,000 that ride no more | {forget_ms:.0f} |")


if __name__ == "__main__":
    main()
