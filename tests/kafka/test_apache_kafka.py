"""The real Kafka itself: what the tests on it stand on."""

import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from demo.guardian import Guardian
from demo.ports import is_free
from demo.processes import is_alive
from tests.kafka.apache_kafka import ApacheKafka, User
from tests.started import started

HOLDS_A_BROKER = textwrap.dedent(
    """
    import time
    from demo.guardian import Guardian
    from tests.kafka.apache_kafka import ApacheKafka

    with Guardian() as guardian, ApacheKafka(guardian) as kafka:
        print(kafka.pid, kafka.port, kafka._folder, flush=True)
        time.sleep(60)
    """
)

pytestmark = pytest.mark.kafka


async def send(kafka: ApacheKafka, topic: str, value: bytes) -> None:
    async with AIOKafkaProducer(**kafka.client_options, acks="all") as producer:
        await producer.send_and_wait(topic, value, partition=0)


async def read(kafka: ApacheKafka, topic: str, count: int) -> list[bytes]:
    consumer = AIOKafkaConsumer(**kafka.client_options)
    async with consumer:
        consumer.assign([TopicPartition(topic, 0)])
        await consumer.seek_to_beginning()
        return [(await consumer.getone()).value for _ in range(count)]


async def test_what_was_acknowledged_survives_sigterm_and_sigkill(guardian: Guardian) -> None:
    with ApacheKafka(guardian) as kafka:
        await kafka.create_topic("kept")
        await send(kafka, "kept", b"first")
        kafka.stop()
        kafka.start()
        await send(kafka, "kept", b"second")
        kafka.kill()
        assert is_free(kafka.port)
        kafka.start()
        assert await read(kafka, "kept", 2) == [b"first", b"second"]


async def test_only_the_user_with_the_password_gets_in(guardian: Guardian) -> None:
    with ApacheKafka(guardian, user=User("bikes", "pedal-power")) as kafka:
        await kafka.create_topic("closed")
        await send(kafka, "closed", b"line")
        assert await read(kafka, "closed", 1) == [b"line"]
        stranger = kafka.client_options | {"sasl_plain_password": "guessed"}
        consumer = AIOKafkaConsumer(**stranger)
        with pytest.raises(KafkaError):
            await consumer.start()
        await consumer.stop()


def test_kafka_dies_with_the_process_that_holds_it() -> None:
    command = [sys.executable, "-c", HOLDS_A_BROKER]
    with started(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=Path(__file__).parents[2]
    ) as holder:
        assert holder.stdout is not None
        pid, port, folder = holder.stdout.readline().split()
        broker = psutil.Process(int(pid))
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    # On a busy machine this may take long; the test's time limit bounds it.
    while is_alive(broker) or not is_free(int(port)) or Path(folder).exists():
        time.sleep(0.05)
