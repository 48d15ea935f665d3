"""What the ingestor reads from its environment, and what it makes of it for Faust."""

import asyncio

import pytest

from deloton.errors import SettingsError
from ingestor.app import IngestorApp
from ingestor.settings import IngestorSettings
from ingestor.topics import topic_configs

NAMES = {"DATABASE_URL": "postgresql://db/deloton", "KAFKA_BOOTSTRAP_SERVERS": "a:9092,b:9092"}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in IngestorSettings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in NAMES.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("METRICS_PORT", "65536"),
        ("METRICS_PORT", "http"),
        ("READINGS_RETENTION_DAYS", "-1"),
        ("READINGS_RETENTION_DAYS", "1.5"),
        ("READINGS_RETENTION_DAYS", "10000000"),
        ("PACK_AFTER_S", "-1"),
        ("SESSION_TIMEOUT_S", "0.5"),
        ("FETCH_BYTES", "1000"),
        ("BATCH_RECORDS", "0"),
    ],
)
def test_settings_out_of_their_bounds_are_named(
    environment: pytest.MonkeyPatch, name: str, value: str
) -> None:
    environment.setenv(name, value)
    with pytest.raises(SettingsError, match=name):
        IngestorSettings.from_environment()


def test_readings_are_kept_for_ever_unless_told_otherwise(environment: pytest.MonkeyPatch) -> None:
    assert IngestorSettings.from_environment().readings_retention_days == 0


def test_rides_are_packed_a_minute_after_their_end_unless_told_otherwise(
    environment: pytest.MonkeyPatch,
) -> None:
    settings = IngestorSettings.from_environment()
    assert (settings.pack_after_s, settings.readings_hot_hours) == (60, 12)
    environment.setenv("PACK_AFTER_S", "never")
    assert IngestorSettings.from_environment().pack_after_s == "never"


def test_faust_learns_of_all_brokers_and_of_the_session(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("SESSION_TIMEOUT_S", "10")
    app = IngestorApp(IngestorSettings.from_environment())
    assert [str(url) for url in app.conf.broker] == ["kafka://a:9092", "kafka://b:9092"]
    assert app.conf.broker_session_timeout == 10
    assert app.conf.broker_heartbeat_interval == 2


async def test_who_is_told_to_stop_begins_no_maintenance(environment: pytest.MonkeyPatch) -> None:
    app = IngestorApp(IngestorSettings.from_environment())
    maintaining = asyncio.create_task(app._maintain_readings())
    await asyncio.sleep(0)
    app._stopped.set()
    # It has no database: to begin would raise.
    await maintaining


def test_each_topic_that_is_written_has_its_retention(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("DEAD_LETTERS_TOPIC", "refused")
    configs = topic_configs(IngestorSettings.from_environment())
    days = {topic: int(config["retention.ms"]) // 86_400_000 for topic, config in configs.items()}
    assert days == {"heart-rates": 1, "ride-events": 90, "refused": 90}
