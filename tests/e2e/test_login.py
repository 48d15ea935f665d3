"""A cluster that asks for user and password, as the company's does."""

from pathlib import Path

import pytest

from demo.embedded_postgres import EmbeddedPostgres
from demo.guardian import Guardian
from tests.e2e.crash_scene import Scene
from tests.e2e.exactness import assert_all_was_lawful_and_complete
from tests.kafka.apache_kafka import ApacheKafka, User

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(180)]


def test_fleet_and_workers_log_in_with_user_and_password(
    postgres: EmbeddedPostgres, guardian: Guardian, tmp_path: Path
) -> None:
    with ApacheKafka(guardian, user=User("deloton", "pedal-power")) as cluster:
        scene = Scene.prepare(cluster, postgres, guardian, tmp_path)
        try:
            scene.start_fleet(seed=3)
            scene.add_worker()
            scene.wait_until_it_goes_on()
            assert_all_was_lawful_and_complete(scene)
        finally:
            scene.leave()
    assert scene.ended_by_themselves == []
