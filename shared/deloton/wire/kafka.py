"""Connections to Kafka from the settings, and which of its errors pass by themselves."""

import ssl
from collections.abc import Awaitable
from typing import Any

import msgspec
from aiokafka import conn
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import (
    IllegalSaslStateError,
    KafkaConnectionError,
    KafkaError,
    KafkaTimeoutError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)

from deloton.running.logs import get_logger
from deloton.running.settings import KafkaSettings

_log = get_logger(__name__)

LOGIN_REFUSED = (SaslAuthenticationFailed, UnsupportedSaslMechanismError, IllegalSaslStateError)

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


async def topic_exists(settings: KafkaSettings, topic: str) -> bool:
    """Whether a topic exists yet; asking for it by name could make it, in the wrong shape."""
    admin = AIOKafkaAdminClient(**client_options(settings))
    try:
        await admin.start()
        return topic in await admin.list_topics()
    finally:
        await admin.close()


class OwnConnection(conn.AIOKafkaConnection):  # type: ignore[misc]
    """A connection that takes uvloop's word for a closed transport as the loss that it is.

    And a refused login for the end: aiokafka wraps it as a lost connection, which is waited for.

    asyncio's own loop raises nothing or an `OSError`, which aiokafka retries. uvloop raises a
    `RuntimeError`: it would end aiokafka's fetcher for good, and its consumer would wait for ever.
    """

    async def connect(self) -> Any:  # noqa: ANN401
        """Connect and log in. Ends the program where the login is refused.

        From whichever of aiokafka's tasks it comes: none of them would tell it. Whoever starts
        the program again gives it the login of then.
        """
        try:
            return await super().connect()
        except LOGIN_REFUSED as error:
            _log.critical("Kafka refuses the login", error=type(error).__name__)
            raise SystemExit(
                f"Kafka at {self.host}:{self.port} refuses the login ({type(error).__name__}): "
                "KAFKA_SASL_USERNAME, KAFKA_SASL_PASSWORD or KAFKA_SASL_MECHANISM is wrong"
            ) from error

    def send(self, request: object, expect_response: bool = True) -> Awaitable[Any]:
        """Send a request. Raises `KafkaConnectionError` where the connection is lost."""
        try:
            response: Awaitable[Any] = super().send(request, expect_response)
        except RuntimeError as error:
            self.close(reason=conn.CloseReason.CONNECTION_BROKEN)
            raise KafkaConnectionError(f"Connection to {self.host}:{self.port} is lost") from error
        return response


def use_own_connections() -> None:
    """Let all aiokafka clients of this process connect in that way.

    aiokafka looks its class up by name and offers no other way to replace it.
    """
    conn.AIOKafkaConnection = OwnConnection


def is_transient(error: BaseException) -> bool:
    """Whether a broker that restarts or a partition that moves says this: trying again helps."""
    if isinstance(error, KafkaError):
        gone = isinstance(error, KafkaConnectionError | KafkaTimeoutError)
        return gone or bool(error.retriable)
    return isinstance(error, OSError | TimeoutError)
