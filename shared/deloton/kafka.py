"""Connections to Kafka from the settings, and which of its errors pass by themselves."""

import ssl
from typing import Any

import msgspec
from aiokafka.errors import KafkaConnectionError, KafkaError, KafkaTimeoutError

from deloton.settings import KafkaSettings

# How messages between our services are spelled.
encode = msgspec.json.Encoder().encode


def client_options(settings: KafkaSettings) -> dict[str, Any]:
    """What every aiokafka client needs to reach the cluster and to log in."""
    options: dict[str, Any] = {
        "bootstrap_servers": settings.kafka_bootstrap_servers,
        "security_protocol": settings.kafka_security_protocol,
    }
    if settings.kafka_security_protocol.endswith("SSL"):
        options["ssl_context"] = ssl.create_default_context()
    if settings.kafka_security_protocol.startswith("SASL"):
        password = settings.kafka_sasl_password
        options |= {
            "sasl_mechanism": settings.kafka_sasl_mechanism,
            "sasl_plain_username": settings.kafka_sasl_username,
            "sasl_plain_password": password.get_secret_value() if password else None,
        }
    return options


def is_transient(error: BaseException) -> bool:
    """Whether a broker that restarts or a partition that moves says this: trying again helps."""
    if isinstance(error, KafkaError):
        gone = isinstance(error, KafkaConnectionError | KafkaTimeoutError)
        return gone or bool(error.retriable)
    return isinstance(error, OSError | TimeoutError)
