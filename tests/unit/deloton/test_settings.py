"""Settings are read once; all that is wrong is told at once, and no secret is shown."""

import pytest

from deloton.errors import SettingsError
from deloton.running.settings import DatabaseSettings, KafkaSettings, Settings
from deloton.wire.kafka import client_options


class ServiceSettings(DatabaseSettings, KafkaSettings):
    """What a service that uses both would read."""


COMPLETE = {
    "DATABASE_URL": "postgresql://ada:hunter2@db.example/deloton",
    "KAFKA_BOOTSTRAP_SERVERS": "kafka.example:9092",
}
CLOUD = {
    "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
    "KAFKA_SASL_USERNAME": "key",
    "KAFKA_SASL_PASSWORD": "s3cret",
}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment with none of our names in it."""
    for name in (*ServiceSettings.model_fields, *Settings.model_fields):
        monkeypatch.delenv(name.upper(), raising=False)
    return monkeypatch


def read(environment: pytest.MonkeyPatch, **names: str) -> ServiceSettings:
    for name, value in names.items():
        environment.setenv(name, value)
    return ServiceSettings.from_environment()


def complaint(environment: pytest.MonkeyPatch, **names: str) -> str:
    with pytest.raises(SettingsError) as caught:
        read(environment, **names)
    return str(caught.value)


def test_two_names_are_enough(environment: pytest.MonkeyPatch) -> None:
    settings = read(environment, **COMPLETE)
    assert settings.database_url.get_secret_value() == COMPLETE["DATABASE_URL"]
    assert (settings.raw_topic, settings.time_zone) == ("deloton", "Europe/London")
    assert settings.log_level == "INFO"


def test_all_missing_names_are_reported_at_once(environment: pytest.MonkeyPatch) -> None:
    message = complaint(environment, TIME_ZONE="Mars/Olympus")
    assert all(name in message for name in (*COMPLETE, "TIME_ZONE", "Mars/Olympus"))
    assert "\n" not in message


def test_an_empty_value_is_a_missing_one(environment: pytest.MonkeyPatch) -> None:
    assert "DATABASE_URL" in complaint(environment, **COMPLETE | {"DATABASE_URL": ""})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "mysql://ada:hunter2@db"),
        ("KAFKA_SECURITY_PROTOCOL", "TLS"),
        ("KAFKA_SASL_MECHANISM", "GSSAPI"),
        ("LOG_LEVEL", "LOUD"),
        ("TIME_ZONE", "Europe"),
        ("TIME_ZONE", "../../etc/passwd"),
        ("TIME_ZONE", "London"),
    ],
)
def test_a_value_that_cannot_be_meant_is_named(
    environment: pytest.MonkeyPatch, name: str, value: str
) -> None:
    message = complaint(environment, **COMPLETE | {name: value})
    assert name in message
    assert "hunter2" not in message


@pytest.mark.parametrize("missing", ["KAFKA_SASL_USERNAME", "KAFKA_SASL_PASSWORD"])
def test_logging_in_without_a_name_or_a_password_is_refused(
    environment: pytest.MonkeyPatch, missing: str
) -> None:
    names = COMPLETE | {name: value for name, value in CLOUD.items() if name != missing}
    assert missing in complaint(environment, **names)


def test_secrets_are_not_in_the_repr(environment: pytest.MonkeyPatch) -> None:
    settings = read(environment, **COMPLETE | CLOUD)
    for shown in (repr(settings), str(settings), settings.model_dump_json()):
        assert "hunter2" not in shown
        assert "s3cret" not in shown


def test_settings_cannot_be_changed(environment: pytest.MonkeyPatch) -> None:
    settings = read(environment, **COMPLETE)
    with pytest.raises(ValueError, match="frozen"):
        settings.raw_topic = "another"


def test_kafka_without_security_needs_an_address_alone(environment: pytest.MonkeyPatch) -> None:
    assert client_options(read(environment, **COMPLETE)) == {
        "bootstrap_servers": "kafka.example:9092",
        "security_protocol": "PLAINTEXT",
    }


def test_kafka_in_the_cloud_is_spoken_to_in_secret_and_by_name(
    environment: pytest.MonkeyPatch,
) -> None:
    options = client_options(read(environment, **COMPLETE | CLOUD))
    assert options.pop("ssl_context").check_hostname
    assert options == {
        "bootstrap_servers": "kafka.example:9092",
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "PLAIN",
        "sasl_plain_username": "key",
        "sasl_plain_password": "s3cret",
    }


@pytest.mark.parametrize("sign", "#/?[")
def test_a_password_that_is_not_escaped_is_told_of_and_not_told(
    environment: pytest.MonkeyPatch, sign: str
) -> None:
    url = f"postgresql://ada:hunt{sign}er2@db.example:5432/deloton"
    told = complaint(environment, **{**COMPLETE, "DATABASE_URL": url})
    assert told.startswith("the environment is not complete: DATABASE_URL: must be like postgres")
    assert "%23" in told
    assert not any(part in told for part in ("hunt", "er2", "ada", "db.example"))


@pytest.mark.parametrize("port", ["54a2", "99999"])
def test_a_port_that_is_none_is_told_of(environment: pytest.MonkeyPatch, port: str) -> None:
    url = f"postgresql://ada:hunter2@db.example:{port}/deloton"
    assert "DATABASE_URL: must be like" in complaint(
        environment, **{**COMPLETE, "DATABASE_URL": url}
    )


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ada:h%23u%2Fn%3Ft@db.example/deloton?sslmode=require",
        "postgresql://ada:h@nter:2@[::1]:5432/deloton",
        "postgres:///deloton?host=/run/postgresql",
    ],
)
def test_addresses_that_postgresql_takes_are_taken(
    environment: pytest.MonkeyPatch, url: str
) -> None:
    settings = read(environment, **{**COMPLETE, "DATABASE_URL": url})
    assert settings.database_url.get_secret_value() == url


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("SASL_SSL://kafka.example:9092", "kafka.example:9092"),
        ("ssl://a.example:9092, b.example:9093", "a.example:9092,b.example:9093"),
        ("[::1]:9092", "[::1]:9092"),
    ],
)
def test_a_scheme_before_a_brokers_address_is_left_out(
    environment: pytest.MonkeyPatch, given: str, expected: str
) -> None:
    settings = read(environment, **{**COMPLETE, "KAFKA_BOOTSTRAP_SERVERS": given})
    assert settings.kafka_bootstrap_servers == expected


@pytest.mark.parametrize(
    "given", ["http://kafka.example:9092", "kafka.example:", "a:1,,b:1", "::1"]
)
def test_what_is_no_brokers_address_is_refused(environment: pytest.MonkeyPatch, given: str) -> None:
    told = complaint(environment, **{**COMPLETE, "KAFKA_BOOTSTRAP_SERVERS": given})
    assert "KAFKA_BOOTSTRAP_SERVERS: must be host:port" in told
