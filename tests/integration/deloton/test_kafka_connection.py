"""What aiokafka makes of a connection that uvloop has closed."""

import asyncio

import pytest
import uvloop
from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.metadata import MetadataRequest

from deloton.wire.kafka import OwnConnection, is_transient
from demo.embedded_broker import EmbeddedBroker


async def ask_over_a_closed_connection(
    broker: EmbeddedBroker, make: type[AIOKafkaConnection]
) -> None:
    host, port = broker.bootstrap_servers.split(":")
    connection = make(host, int(port), request_timeout_ms=1000)
    await connection.connect()
    connection._read_task.cancel()
    connection._writer.transport.abort()
    await asyncio.sleep(0.05)
    try:
        connection.send(MetadataRequest([]))
    finally:
        connection.close()
        await asyncio.sleep(0.01)


def test_a_connection_that_uvloop_has_closed_is_a_lost_one(broker: EmbeddedBroker) -> None:
    with pytest.raises(KafkaConnectionError) as caught:
        uvloop.run(ask_over_a_closed_connection(broker, OwnConnection))
    assert is_transient(caught.value)


def test_aiokafka_alone_would_not_take_it_for_one(broker: EmbeddedBroker) -> None:
    """Once this fails, `OwnConnection` has no reason any more."""
    with pytest.raises(RuntimeError, match="closed"):
        uvloop.run(ask_over_a_closed_connection(broker, AIOKafkaConnection))
