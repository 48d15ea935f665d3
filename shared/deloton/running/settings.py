"""Typed settings from the environment, shared by the services; the same name everywhere.

A service's own settings class adds its names to one of these. All that is missing or wrong is
reported at once, and secrets stay out of the `repr`.
"""

import re
from email.headerregistry import Address
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    Field,
    PlainValidator,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from deloton.errors import SettingsError
from deloton.running.addresses import parse_addresses
from deloton.running.mail_url import check_mail_url


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"no time zone is called {name!r}") from error
    return name


def _postgres_url(url: SecretStr) -> SecretStr:
    text = url.get_secret_value()
    if not text.startswith(("postgresql://", "postgres://")):
        raise ValueError("must begin with postgresql://")
    # Refused here: what takes it apart elsewhere would quote part of a password.
    if not _can_be_taken_apart(text):
        raise ValueError(
            "must be like postgresql://user:password@host:5432/database; in the password # is "
            "written %23, / %2F, ? %3F, @ %40, [ %5B and % %25"
        )
    return url


def _can_be_taken_apart(url: str) -> bool:
    """Whether host and port stand where they belong, whatever the password holds."""
    try:
        parts = urlsplit(url)
        has_port = parts.port is None or parts.port > 0
    except ValueError:
        return False
    behind = parts.path + parts.query + parts.fragment
    return has_port and "#" not in url and ("@" in parts.netloc or "@" not in behind)


def _brokers(text: str) -> str:
    """Addresses of brokers; a scheme before them, as some write it, is left out."""
    addresses = [_SCHEME.sub("", each.strip()) for each in text.split(",")]
    if not all(map(_BROKER.fullmatch, addresses)):
        raise ValueError("must be host:port, or several with commas between them")
    return ",".join(addresses)


def _mail_url(url: SecretStr) -> SecretStr:
    check_mail_url(url.get_secret_value())
    return url


def _mailbox(text: str) -> Address:
    mailboxes = parse_addresses(text)
    if len(mailboxes) > 1:
        raise ValueError("must be one address, like Deloton <alerts@example.com>")
    return mailboxes[0]


def _link_keys(keys: SecretStr) -> SecretStr:
    if any(len(key.strip()) < LEAST_KEY for key in keys.get_secret_value().split(",")):
        raise ValueError(f"must be keys of {LEAST_KEY} signs or more, with commas between them")
    return keys


def _web_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("must be like https://api.example.com")
    return url


# As many signs as a key of 128 bits has when it is written in hexadecimal digits.
LEAST_KEY = 32

# The protocol is a setting of its own.
_SCHEME = re.compile(r"^(PLAINTEXT|SSL|SASL_PLAINTEXT|SASL_SSL)://", re.IGNORECASE)
_BROKER = re.compile(r"([^\s:/@\[\]]+|\[[0-9a-fA-F:.]+\])(:[0-9]{1,5})?")

Number = Annotated[float, Field(allow_inf_nan=False)]
Port = Annotated[int, Field(ge=0, le=65535)]
TimeZone = Annotated[str, AfterValidator(_known_zone)]
PostgresUrl = Annotated[SecretStr, AfterValidator(_postgres_url)]
MailUrl = Annotated[SecretStr, AfterValidator(_mail_url)]
LinkKeys = Annotated[SecretStr, AfterValidator(_link_keys)]
WebUrl = Annotated[str, AfterValidator(_web_url)]
# Read here once: from here on nobody has to take an address apart again.
Mailbox = Annotated[Address, PlainValidator(_mailbox)]
Mailboxes = Annotated[tuple[Address, ...], NoDecode, PlainValidator(parse_addresses)]


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

    kafka_bootstrap_servers: Annotated[str, AfterValidator(_brokers)]
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
    """The way out for mail, and who it is from; see `deloton.wire.mail.open_mailer`."""

    mail_url: MailUrl
    mail_from: Mailbox
    aws_endpoint_url: str | None = None


class AlertLinkSettings(Settings):
    """What signs the links of mails to riders; see `alert_links.py`. None: mails have no links."""

    alert_link_keys: LinkKeys | None = None

    @property
    def link_keys(self) -> list[str]:
        """The keys, the one that signs first."""
        keys = self.alert_link_keys
        return [key.strip() for key in keys.get_secret_value().split(",")] if keys else []


class StopSettings(Settings):
    """How long whoever stops us waits before it kills: Docker's default where nobody says."""

    stop_timeout_s: Annotated[Number, Field(ge=5, le=120)] = 10.0

    @property
    def finish_within_s(self) -> float:
        """How long what is under way may go on; the rest is for letting go."""
        return self.stop_timeout_s - 3.0


class CloudWatchSettings(Settings):
    """Under which namespace CloudWatch finds our metrics, and how often they are told.

    See `emf.py`. None: nowhere.
    """

    cloudwatch_namespace: str | None = None
    cloudwatch_every_s: Annotated[Number, Field(ge=0.1, le=60)] = 60.0


def _explain(error: ValidationError) -> str:
    lines = []
    for problem in error.errors(include_url=False, include_input=False):
        name = "_".join(str(part) for part in problem["loc"]).upper()
        told = problem["msg"].removeprefix("Value error, ")
        lines.append(f"{name}: {told}" if name else told)
    return "the environment is not complete: " + "; ".join(lines)
