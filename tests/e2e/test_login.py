"""A cluster that asks for user and password, as the company's does."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.embedded_postgres import EmbeddedPostgres
from demo.guardian import Guardian
from demo.ports import free_port
from demo.processes import inherit_environment
from tests.e2e.crash_scene import Scene
from tests.e2e.exactness import assert_all_was_lawful_and_complete
from tests.kafka.apache_kafka import ApacheKafka, User
from tests.roles import as_role
from tests.started import started

pytestmark = pytest.mark.kafka


@pytest.fixture(scope="module")
def cluster(guardian: Guardian) -> Iterator[ApacheKafka]:
    """A broker that knows one user."""
    with ApacheKafka(guardian, user=User("deloton", "pedal-power")) as cluster:
        yield cluster


@pytest.mark.parametrize("module", ["ingestor", "hr_alerter", "deloton.canary"])
def test_a_refused_login_is_told_as_one_and_ends_the_program(
    module: str, cluster: ApacheKafka, database_url: str, tmp_path: Path
) -> None:
    environment = {
        **cluster.environment,
        "KAFKA_SASL_PASSWORD": "fill-me-in",
        "DATABASE_URL": as_role(database_url, "hr_alerter" if "hr" in module else "ingestor"),
        "METRICS_PORT": str(free_port()),
        "MAIL_URL": f"file://{tmp_path}",
        "MAIL_FROM": "alerts@deloton.example",
        "CANARY_INBOX": f"file://{tmp_path}",
        "CANARY_MAILBOX": "canary@deloton.example",
    }
    command = [sys.executable, "-m", module]
    log = tmp_path / "log"
    with (
        log.open("w") as written,
        started(command, env=inherit_environment(**environment), stderr=written) as program,
    ):
        assert program.wait() == 1
    told = log.read_text()
    assert '"event": "Kafka refuses the login"' in told
    assert "refuses the login (SaslAuthenticationFailed)" in told
    assert "fill-me-in" not in told


def test_fleet_and_workers_log_in_with_user_and_password(
    cluster: ApacheKafka, postgres: EmbeddedPostgres, guardian: Guardian, tmp_path: Path
) -> None:
    scene = Scene.prepare(cluster, postgres, guardian, tmp_path)
    try:
        scene.start_fleet(seed=3)
        scene.add_worker()
        scene.wait_until_it_goes_on()
        assert_all_was_lawful_and_complete(scene)
    finally:
        scene.leave()
    assert scene.ended_by_themselves == []
