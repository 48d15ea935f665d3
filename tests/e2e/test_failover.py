"""Three nodes of Apache Kafka, of which any may go: work goes on, and rows stay exact."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.embedded_postgres import EmbeddedPostgres
from demo.guardian import Guardian
from tests.e2e.crash_scene import Scene
from tests.e2e.exactness import assert_all_was_lawful_and_complete, assert_rows_are_exact
from tests.kafka.apache_kafka import ApacheKafka

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(900)]


@pytest.fixture
def scene(postgres: EmbeddedPostgres, guardian: Guardian, tmp_path: Path) -> Iterator[Scene]:
    """Two workers and a riding fleet on three nodes."""
    with ApacheKafka(guardian, nodes=3) as cluster:
        scene = Scene.prepare(cluster, postgres, guardian, tmp_path)
        try:
            scene.start_fleet(seed=3)
            scene.add_worker()
            scene.add_worker()
            scene.wait_until_it_goes_on()
            yield scene
        finally:
            scene.leave()


def test_every_node_is_killed_in_turn_and_nothing_waits_for_its_return(scene: Scene) -> None:
    for node in scene.kafka.nodes:
        node.kill()
        scene.wait_until_it_goes_on()
        node.start()
        scene.wait_until_it_goes_on()
    assert_all_was_lawful_and_complete(scene)
    asyncio.run(assert_rows_are_exact(scene))
