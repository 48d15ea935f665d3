"""Typed settings from the environment, shared by the services; the same name everywhere.

A service's own settings class adds its names to one of these. All that is missing or wrong is
reported at once, and secrets stay out of the `repr`.
"""

from email.utils import parseaddr
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from deloton.errors import SettingsError


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"no time zone is called {name!r}") from error
    return name


def _postgres_url(url: SecretStr) -> SecretStr:
    if not url.get_secret_value().startswith(("postgresql://", "postgres://")):
        raise ValueError("must begin with postgresql://")
    return url


def _mail_url(url: SecretStr) -> SecretStr:
    if not url.get_secret_value().startswith(("ses://", "smtp://", "smtps://", "file:///")):
        raise ValueError("must begin with ses://, smtp://, smtps:// or file:///")
    return url


def _sender(text: str) -> str:
    _, address = parseaddr(text)
    if "@" not in address:
        raise ValueError("must be an address, like Deloton <alerts@example.com>")
    return text


Port = Annotated[int, Field(ge=0, le=65535)]
TimeZone = Annotated[str, AfterValidator(_known_zone)]
PostgresUrl = Annotated[SecretStr, AfterValidator(_postgres_url)]
MailUrl = Annotated[SecretStr, AfterValidator(_mail_url)]
Sender = Annotated[str, AfterValidator(_sender)]


class Settings(BaseSettings):
    """The root of every service's settings: frozen, read once at the start."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    time_zone: TimeZone = "Europe/London"
    # Of the service's own port: every interface, as containers need it.
    listen_address: str = "0.0.0.0"  # noqa: S104

    @classmethod
    def from_environment(cls) -> Self:
        """Read the environment; raise a `SettingsError` that names all that is wrong with it."""
        try:
            return cls()
        except ValidationError as error:
            raise SettingsError(_explain(error)) from None


class DatabaseSettings(Settings):
    """Where PostgreSQL is."""

    database_url: PostgresUrl


class KafkaSettings(Settings):
    """Where Kafka is, how to log in, and what the topics are called."""

    kafka_bootstrap_servers: str
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "PLAIN"
    kafka_sasl_username: str | None = None
    kafka_sasl_password: SecretStr | None = None
    raw_topic: str = "deloton"
    heart_rates_topic: str = "heart-rates"
    ride_events_topic: str = "ride-events"
    dead_letters_topic: str = "dead-letters"

    @model_validator(mode="after")
    def _has_what_logging_in_takes(self) -> Self:
        if self.kafka_security_protocol.startswith("SASL"):
            names = ("kafka_sasl_username", "kafka_sasl_password")
            missing = [name.upper() for name in names if not getattr(self, name)]
            if missing:
                raise ValueError(f"{self.kafka_security_protocol} needs {' and '.join(missing)}")
        return self


class MailSettings(Settings):
    """The way out for mail, and who it is from; see `deloton.mail.open_mailer`."""

    mail_url: MailUrl
    mail_from: Sender
    aws_endpoint_url: str | None = None


class CloudWatchSettings(Settings):
    """Under which namespace CloudWatch finds our metrics; see `deloton.emf`. None: nowhere."""

    cloudwatch_namespace: str | None = None


def _explain(error: ValidationError) -> str:
    lines = []
    for problem in error.errors(include_url=False, include_input=False):
        name = "_".join(str(part) for part in problem["loc"]).upper()
        told = problem["msg"].removeprefix("Value error, ")
        lines.append(f"{name}: {told}" if name else told)
    return "the environment is not complete: " + "; ".join(lines)
