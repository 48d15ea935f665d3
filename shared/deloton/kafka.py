"""Connections to Kafka from the settings, and which of its errors pass by themselves."""

import ssl
from collections.abc import Awaitable
from typing import Any

import msgspec
from aiokafka import conn
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


class UvloopConnection(conn.AIOKafkaConnection):  # type: ignore[misc]
    """A connection that takes uvloop's word for a closed transport as the loss that it is.

    asyncio's own loop raises nothing or an `OSError`, which aiokafka retries. uvloop raises a
    `RuntimeError`: it would end aiokafka's fetcher for good, and its consumer would wait for ever.
    """

    def send(self, request: object, expect_response: bool = True) -> Awaitable[Any]:
        """Send a request. Raises `KafkaConnectionError` where the connection is lost."""
        try:
            response: Awaitable[Any] = super().send(request, expect_response)
        except RuntimeError as error:
            self.close(reason=conn.CloseReason.CONNECTION_BROKEN)
            raise KafkaConnectionError(f"Connection to {self.host}:{self.port} is lost") from error
        return response


def get_along_with_uvloop() -> None:
    """Let all aiokafka clients of this process connect in that way.

    aiokafka looks its class up by name and offers no other way to replace it.
    """
    conn.AIOKafkaConnection = UvloopConnection


def is_transient(error: BaseException) -> bool:
    """Whether a broker that restarts or a partition that moves says this: trying again helps."""
    if isinstance(error, KafkaError):
        gone = isinstance(error, KafkaConnectionError | KafkaTimeoutError)
        return gone or bool(error.retriable)
    return isinstance(error, OSError | TimeoutError)
