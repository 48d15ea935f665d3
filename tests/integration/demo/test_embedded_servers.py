"""The embedded servers themselves: what every other integration test stands on."""

import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import asyncpg
import psutil
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from demo.embedded_broker import EmbeddedBroker
from demo.embedded_postgres import EmbeddedPostgres
from demo.errors import PortInUse
from demo.guardian import Guardian
from demo.ports import is_free
from demo.processes import is_alive
from demo.unprivileged import installed_package
from tests.started import started

HOLDS_BOTH_SERVERS = textwrap.dedent(
    """
    import signal
    import time
    from demo.embedded_broker import EmbeddedBroker
    from demo.embedded_postgres import EmbeddedPostgres
    from demo.guardian import Guardian

    # A shell that runs a command in the background lets it ignore this one.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with Guardian() as guardian, EmbeddedPostgres(guardian) as postgres:
        with EmbeddedBroker(guardian) as broker:
            print(postgres.pid, postgres.port, broker.pid, broker.port, postgres._home, flush=True)
            time.sleep(60)
    """
)


async def test_a_database_takes_rows_over_tcp(empty_database_url: str) -> None:
    connection = await asyncpg.connect(empty_database_url)
    try:
        assert await connection.fetchval("SELECT current_setting('TimeZone')") == "UTC"
        await connection.execute("CREATE TABLE ride (ride_id bigint PRIMARY KEY)")
        await connection.execute("INSERT INTO ride VALUES (7)")
        assert await connection.fetchval("SELECT ride_id FROM ride") == 7
    finally:
        await connection.close()


async def test_a_test_gets_a_migrated_database_without_rows(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    try:
        assert await connection.fetchval("SELECT count(*) FROM rides") == 0
    finally:
        await connection.close()


async def test_a_password_is_asked_for(empty_database_url: str) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(empty_database_url, password="wrong")


def test_committed_rows_survive_kill_9_of_the_server(guardian: Guardian) -> None:
    with EmbeddedPostgres(guardian) as server:
        server.run_sql("CREATE TABLE ride AS SELECT 7 AS ride_id")
        server.kill()
        assert is_free(server.port)
        server.start()
        assert server.run_sql("SELECT ride_id FROM ride") == "7"


def test_a_copied_database_is_separate_from_its_template(postgres: EmbeddedPostgres) -> None:
    postgres.create_database("original")
    postgres.run_sql("CREATE TABLE ride AS SELECT 7 AS ride_id", database="original")
    postgres.create_database("copy", template="original")
    postgres.run_sql("DELETE FROM ride", database="copy")
    assert postgres.run_sql("SELECT count(*) FROM ride", database="original") == "1"


def test_leaving_the_server_leaves_no_process_port_or_folder(guardian: Guardian) -> None:
    with EmbeddedPostgres(guardian) as server:
        pids = [server.pid, *(child.pid for child in psutil.Process(server.pid).children())]
        home = server._home
        assert home.exists()
    assert not any(is_alive_pid(pid) for pid in pids)
    assert is_free(server.port)
    assert not home.exists()


@pytest.mark.parametrize("server_type", [EmbeddedPostgres, EmbeddedBroker])
def test_a_port_in_use_is_said_in_one_sentence(
    guardian: Guardian,
    broker: EmbeddedBroker,
    server_type: type[EmbeddedPostgres] | type[EmbeddedBroker],
) -> None:
    with pytest.raises(
        PortInUse, match=rf"^Port {broker.port}, .* is in use by another program\.$"
    ):
        server_type(guardian, port=broker.port).__enter__()


async def test_what_is_produced_is_consumed_from_its_partition(broker: EmbeddedBroker) -> None:
    await broker.create_topic("three-partitions", partitions=3)
    async with AIOKafkaProducer(bootstrap_servers=broker.bootstrap_servers) as producer:
        await producer.send_and_wait("three-partitions", b"line", key=b"SN0000", partition=2)
    consumer = AIOKafkaConsumer(bootstrap_servers=broker.bootstrap_servers)
    async with consumer:
        partition = TopicPartition("three-partitions", 2)
        consumer.assign([partition])
        await consumer.seek_to_beginning(partition)
        record = await consumer.getone()
    assert (record.partition, record.offset, record.key, record.value) == (
        2,
        0,
        b"SN0000",
        b"line",
    )


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_servers_die_with_the_process_that_holds_them(number: signal.Signals) -> None:
    command = [sys.executable, "-c", HOLDS_BOTH_SERVERS]
    with started(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=Path(__file__).parents[3]
    ) as holder:
        assert holder.stdout is not None
        words = holder.stdout.readline().split()
        holder.send_signal(number)
        holder.wait()
    postgres_pid, postgres_port, broker_pid, broker_port = (int(word) for word in words[:4])
    # On a busy machine this may take long; the test's time limit bounds it.
    while is_alive_pid(postgres_pid) or is_alive_pid(broker_pid) or Path(words[4]).exists():
        time.sleep(0.02)
    while not (is_free(postgres_port) and is_free(broker_port)):
        time.sleep(0.02)


def test_root_runs_the_server_from_a_folder_closed_to_others(
    guardian: Guardian, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root hands the server to another user")
    installed = installed_package()
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    for folder in (installed, installed.with_name(f"{installed.name}.libs")):
        if folder.is_dir():
            shutil.copytree(folder, closed / folder.name, symlinks=True)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with EmbeddedPostgres(guardian, package=closed / installed.name) as server:
        assert server.run_sql("SELECT 1") == "1"


def is_alive_pid(pid: int) -> bool:
    try:
        return is_alive(psutil.Process(pid))
    except psutil.NoSuchProcess:
        return False
