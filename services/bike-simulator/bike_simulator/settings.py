"""EDGE: the environment, read once at start."""

from collections.abc import Mapping
from dataclasses import dataclass, field

SECURITY_PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
SASL_MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")


class UnusableSettings(ValueError):
    """The environment lacks something or holds something unusable; says all of it at once."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the lines go. The names are those of every Deloton service."""

    bootstrap_servers: str = "localhost:9092"
    security_protocol: str = "PLAINTEXT"
    sasl_mechanism: str = "PLAIN"
    sasl_username: str = ""
    sasl_password: str = field(default="", repr=False)
    raw_topic: str = "deloton"
    log_level: str = "INFO"

    @property
    def uses_sasl(self) -> bool:
        """Whether the broker wants a user and a password."""
        return self.security_protocol.startswith("SASL_")

    @property
    def uses_tls(self) -> bool:
        """Whether the connection is encrypted."""
        return self.security_protocol.endswith("SSL")


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Settings from the environment; an empty variable counts as not set."""
    given = {name: value.strip() for name, value in environment.items() if value.strip()}
    default = Settings()
    settings = Settings(
        bootstrap_servers=given.get("KAFKA_BOOTSTRAP_SERVERS", default.bootstrap_servers),
        security_protocol=given.get("KAFKA_SECURITY_PROTOCOL", default.security_protocol).upper(),
        sasl_mechanism=given.get("KAFKA_SASL_MECHANISM", default.sasl_mechanism).upper(),
        sasl_username=given.get("KAFKA_SASL_USERNAME", ""),
        sasl_password=given.get("KAFKA_SASL_PASSWORD", ""),
        raw_topic=given.get("RAW_TOPIC", default.raw_topic),
        log_level=given.get("LOG_LEVEL", default.log_level).upper(),
    )
    if complaints := _complaints(settings):
        raise UnusableSettings(" ".join(complaints))
    return settings


def _complaints(settings: Settings) -> list[str]:
    complaints = []
    if settings.security_protocol not in SECURITY_PROTOCOLS:
        complaints.append(
            f"KAFKA_SECURITY_PROTOCOL is {settings.security_protocol!r}, "
            f"not one of {', '.join(SECURITY_PROTOCOLS)}."
        )
    if settings.uses_sasl:
        if settings.sasl_mechanism not in SASL_MECHANISMS:
            complaints.append(
                f"KAFKA_SASL_MECHANISM is {settings.sasl_mechanism!r}, "
                f"not one of {', '.join(SASL_MECHANISMS)}."
            )
        needed = {"USERNAME": settings.sasl_username, "PASSWORD": settings.sasl_password}
        complaints += [f"KAFKA_SASL_{name} is missing." for name, got in needed.items() if not got]
    return complaints
