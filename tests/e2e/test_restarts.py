"""However often workers die under load, the rows are those of an undisturbed run."""

import asyncio
import random
import signal
from itertools import chain

import pytest

from tests.e2e.ingestor_site import (
    PARTITIONS,
    Feed,
    Load,
    Site,
    Worker,
    ride_ids,
    wait_until,
    wait_until_more_is_stored,
    wait_until_stored,
)
from tests.e2e.stored_rows import (
    dead_letters_due,
    dead_letters_sent,
    differences,
    heart_rates_read,
    heart_rates_sent,
    read_digested,
    read_topic,
    refusals_due,
)
from tests.oracle.straightforward import RideKey

RESTARTS = 20
SEED = 2
# Seconds pass before a worker stores its first batch; every second restart interrupts that.
LONGEST_START_S = 3.0
LONGEST_WORK_S = 0.8
LINES_A_SECOND = 2_000

pytestmark = pytest.mark.system


async def test_twenty_restarts_under_load_lose_nothing_and_double_nothing(
    feed: Feed, site: Site
) -> None:
    load = Load(site, feed.messages, LINES_A_SECOND)
    sending = asyncio.create_task(load.send())
    chance = random.Random(SEED)
    ids: dict[RideKey, int] = {}
    for number in range(RESTARTS):
        # Something is left for every worker, however slow this machine is.
        load.up_to = len(feed.messages) * (number + 1) // (RESTARTS + 1)
        worker = site.start_worker()
        if number % 2 == 0:
            await asyncio.sleep(chance.uniform(0, LONGEST_START_S))
        else:
            await wait_until_more_is_stored(site)
            await asyncio.sleep(chance.uniform(0, LONGEST_WORK_S))
        worker.end(chance.choice((signal.SIGTERM, signal.SIGKILL)))
        ids = await same_ride_ids(site, ids)
    site.start_worker()
    load.finish()
    await sending
    await wait_until_stored(site, feed.messages)
    await same_ride_ids(site, ids)
    assert await what_differs(site, feed) == []


async def test_workers_share_the_partitions_and_take_over_from_one_another(
    feed: Feed, site: Site
) -> None:
    load = Load(site, feed.messages, LINES_A_SECOND, len(feed.messages) // 2)
    sending = asyncio.create_task(load.send())
    first, second = site.start_worker(), site.start_worker()
    await wait_until(lambda: they_share_all(first, second))
    ids = await same_ride_ids(site, {})
    first.end(signal.SIGKILL)
    await wait_until(lambda: they_share_all(second))
    ids = await same_ride_ids(site, ids)
    third = site.start_worker()
    await wait_until(lambda: they_share_all(second, third))
    second.end(signal.SIGTERM)
    load.finish()
    await sending
    await wait_until_stored(site, feed.messages)
    await same_ride_ids(site, ids)
    assert await what_differs(site, feed) == []


async def they_share_all(*workers: Worker) -> bool:
    """Whether each of the workers has some of the partitions, none has another's, all are had."""
    shares = [await worker.assigned_partitions() for worker in workers]
    return all(shares) and sorted(chain(*shares)) == list(range(PARTITIONS))


async def same_ride_ids(site: Site, before: dict[RideKey, int]) -> dict[RideKey, int]:
    """The numbers of all rides by now; those known before have not changed."""
    now = await ride_ids(site)
    assert before.items() <= now.items()
    return now


async def what_differs(site: Site, feed: Feed) -> list[str]:
    """What is not as the straightforward computation says, in the database and on the topics."""
    found = await read_digested(site)
    expected = feed.as_of(found.rows.rides)
    raw = await read_topic(site.broker.bootstrap_servers, site.raw_topic)
    heart_rates = heart_rates_read(expected, found.rows.ride_ids)
    return [
        *differences(expected.riders, found.rows.riders),
        *differences(expected.bikes, found.rows.bikes),
        *differences(expected.rides, found.rows.rides),
        *differences(expected.readings, found.rows.readings),
        *map(str, heart_rates ^ heart_rates_sent(found.heart_rates)),
        *differences(
            dead_letters_due(feed, expected, site.raw_topic),
            dead_letters_sent(found.dead_letters),
        ),
        *differences(refusals_due(raw, found.dead_letters), found.rows.refused_lines),
    ]
