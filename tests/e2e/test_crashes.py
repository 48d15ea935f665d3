"""Everything that can end or freeze does so under load, on a real Apache Kafka: rows stay exact.

`CRASHES=50` makes it longer, `SEED=…` repeats an order. A frozen worker counts as one that comes
back from the dead: it must write nothing.
"""

import asyncio
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random, SystemRandom

import pytest
from aiokafka import ConsumerRecord

from demo.embedded_postgres import EmbeddedPostgres
from demo.guardian import Guardian
from tests.e2e.crash_scene import Scene
from tests.e2e.crashes import in_random_order
from tests.e2e.exactness import assert_all_was_lawful_and_complete, assert_rows_are_exact
from tests.e2e.stored_rows import read_topic
from tests.kafka.apache_kafka import ApacheKafka, steady_port

_log = logging.getLogger(__name__)

CRASHES = int(os.environ.get("CRASHES", "10"))
SEED = int(os.environ.get("SEED", SystemRandom().randrange(1_000_000)))
WORKERS = 2
# How much may be read again after a crash: a few seconds, more where a busy machine commits late.
# Had nothing been committed it were two minutes.
REPLAY_S = 20.0

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(600 + 60 * CRASHES)]


@pytest.fixture(scope="module")
def kafka(guardian: Guardian) -> Iterator[ApacheKafka]:
    """A broker that may be killed."""
    with ApacheKafka(guardian) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def database_server(guardian: Guardian) -> Iterator[EmbeddedPostgres]:
    """A database server that may be killed."""
    with EmbeddedPostgres(guardian, port=steady_port()) as server:
        yield server


@pytest.fixture
def scene(
    kafka: ApacheKafka, database_server: EmbeddedPostgres, guardian: Guardian, tmp_path: Path
) -> Iterator[Scene]:
    """Workers and a riding fleet; every partition is under way."""
    scene = Scene.prepare(kafka, database_server, guardian, tmp_path)
    try:
        scene.start_fleet(SEED)
        for _ in range(WORKERS):
            scene.add_worker()
        scene.wait_until_it_goes_on()
        yield scene
    finally:
        scene.leave()


def test_crashes_of_every_kind_under_load_lose_double_and_renumber_nothing(scene: Scene) -> None:
    # With clocks that are set, riders told in mid-ride and up to 4,000 lines that come twice.
    scene.start_odd_fleet(SEED)
    seen = crash(scene, Random(SEED))
    scene.wait_until(
        lambda: scene.query("SELECT count(*) > 0 FROM ride_series") == [["t"]], "a ride is packed"
    )
    assert_all_was_lawful_and_complete(scene)
    final = scene.ride_ids()
    assert [ride_ids for ride_ids in seen if not ride_ids.items() <= final.items()] == []
    asyncio.run(assert_rows_are_exact(scene))


def test_after_a_clean_stop_kafka_knows_as_much_as_the_database_and_after_a_kill_almost(
    scene: Scene,
) -> None:
    scene.pause(3)
    # On a busy machine the two may be in the middle of a rebalance all the while that they stop.
    while not (scene.stop_workers() and scene.committed_offsets() == scene.offsets()):
        scene.add_worker_for_all()
    for _ in range(WORKERS):
        scene.add_worker()
    # What lies before is the fleet's past, two minutes of which are stored within seconds.
    scene.wait_until_caught_up()
    scene.pause(10)
    for name in list(scene.workers):
        scene.take_worker(name).kill()
    scene.stop_fleet()
    committed, stored = scene.committed_offsets(), scene.offsets()
    records = asyncio.run(read_topic(scene.kafka.bootstrap_servers, scene.site.raw_topic))
    replays = [
        replayed_s(records, partition, committed[partition], stored[partition])
        for partition in stored
    ]
    _log.warning("seconds that would be read again: %s", replays)
    assert max(replays) < REPLAY_S


def crash(scene: Scene, chance: Random) -> list[dict[tuple[str, str], str]]:
    """Let the crashes happen, some in one another's wake; return the ride ids seen meanwhile."""
    seen = []
    begun_at = time.monotonic()
    for befall in in_random_order(CRASHES, chance):
        _log.warning("%.0f s, SEED=%d: %s", time.monotonic() - begun_at, SEED, befall.__name__)
        befall(scene, chance)
        if chance.random() < 0.7:
            scene.wait_until_it_goes_on()
        scene.pause(chance.uniform(0, 2))
        seen.append(scene.ride_ids())
    _log.warning("%.0f s: over", time.monotonic() - begun_at)
    for end in scene.ended_by_themselves:
        _log.warning("ended by itself: %s", end)
    return seen


def replayed_s(records: list[ConsumerRecord], partition: int, committed: int, stored: int) -> float:
    """How many seconds of a partition's records lie between two offsets."""
    sent_ms = [
        record.timestamp
        for record in records
        if record.partition == partition and committed <= record.offset < stored
    ]
    return (max(sent_ms) - min(sent_ms)) / 1000 if sent_ms else 0.0
