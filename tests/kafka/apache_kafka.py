"""A real Apache Kafka in KRaft mode, run by the machine's Java, for tests.

It has the face of `demo.embedded_broker.EmbeddedBroker`, but keeps its data when it is stopped or
killed and started again, knows users and passwords, and may consist of several nodes. Its jars
are brought by `fetch-jars`.
"""

import asyncio
import os
import random
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, for_code

from demo.errors import ProgramFailed, ProgramMissing
from demo.guardian import Guardian
from demo.ports import LOCALHOST, answers, ensure_free, is_free
from demo.processes import POLL_S, Program

JARS = Path(__file__).with_name("target") / "jars"
READY_WITHIN_S = 300.0
STOPPED_WITHIN_S = 10.0
# Quick to start and small: these brokers live for minutes.
JAVA_OPTIONS = (
    "-Xmx320m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Dlog4j2.level=WARN",
    "-cp",
    f"{JARS}/*",
)
# Below the ports that a system gives to outgoing connections: a client that tries to reach a
# killed broker again and again could otherwise take the broker's own port.
STEADY_PORTS = range(20_000, 32_000)


class User(NamedTuple):
    """Who may log in, by SASL PLAIN."""

    name: str
    password: str


class Node:
    """One process that is a broker and a controller."""

    def __init__(self, guardian: Guardian, number: int, folder: Path) -> None:
        """Choose ports; nothing is started."""
        self.number = number
        self.port = steady_port()
        self.controller_port = steady_port()
        self._folder = folder / f"node-{number}"
        self._properties = folder / f"node-{number}.properties"
        self._program = Program(
            guardian,
            f"Kafka's node {number}",
            [java_program(), *JAVA_OPTIONS, "kafka.Kafka", self._properties],
            folder / f"node-{number}.log",
        )

    @property
    def pid(self) -> int:
        """The number of its process."""
        return self._program.pid

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._program.running

    def explain_end(self) -> str:
        """Say how it ended, with its last lines."""
        return self._program.explain_end()

    def format(self, cluster_id: str, settings: Mapping[str, str]) -> None:
        """Prepare its data folder."""
        own = {
            "node.id": str(self.number),
            "listeners": f"CLIENT://{LOCALHOST}:{self.port},"
            f"CONTROLLER://{LOCALHOST}:{self.controller_port}",
            "log.dirs": str(self._folder),
        }
        lines = [f"{name}={value}\n" for name, value in {**settings, **own}.items()]
        self._properties.write_text("".join(lines))
        tool = [java_program(), *JAVA_OPTIONS, "kafka.tools.StorageTool", "format"]
        done = subprocess.run(
            [*tool, f"--cluster-id={cluster_id}", f"--config={self._properties}"],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise ProgramFailed(f"Kafka's data folder could not be made: {done.stderr.strip()}")

    def launch(self) -> None:
        """Start it on its data; `wait_until_ready` comes next."""
        ensure_free(self.port, "Apache Kafka")
        ensure_free(self.controller_port, "Apache Kafka's controller")
        self._program.start()

    def wait_until_ready(self) -> None:
        """Return once it takes connections; raises `ProgramFailed`."""
        deadline = time.monotonic() + READY_WITHIN_S
        while not answers(self.port):
            if not self._program.running:
                raise ProgramFailed(self._program.explain_end())
            if time.monotonic() > deadline:
                raise ProgramFailed(f"Kafka was not ready within {READY_WITHIN_S:.0f} s.")
            time.sleep(POLL_S)

    def start(self) -> None:
        """Start it on its data and wait until it takes connections."""
        self.launch()
        self.wait_until_ready()

    def ask_to_end(self) -> None:
        """Send SIGTERM and do not wait."""
        self._program.signal(signal.SIGTERM)

    def stop(self) -> None:
        """Stop it in order; its data stay."""
        self._program.stop(STOPPED_WITHIN_S)

    def kill(self) -> None:
        """Kill it with SIGKILL; its data stay, as far as the operating system has them."""
        self._program.kill()


class ApacheKafka:
    """One cluster with a data folder of its own, which goes when it is left."""

    def __init__(self, guardian: Guardian, *, nodes: int = 1, user: User | None = None) -> None:
        """Describe a cluster of so many nodes; with a `user`, nobody else may log in."""
        require_jars()
        self._guardian = guardian
        self._user = user
        self._folder = Path(tempfile.mkdtemp(prefix="deloton-kafka-"))
        guardian.remove_later(self._folder)
        self._formatted = False
        self.nodes = [Node(guardian, number, self._folder) for number in range(1, nodes + 1)]

    @property
    def bootstrap_servers(self) -> str:
        """Where clients begin: `host:port`, several with commas."""
        return ",".join(f"{LOCALHOST}:{node.port}" for node in self.nodes)

    @property
    def port(self) -> int:
        """The first node's port."""
        return self.nodes[0].port

    @property
    def pid(self) -> int:
        """The number of the first node's process."""
        return self.nodes[0].pid

    @property
    def running(self) -> bool:
        """Whether all nodes were started and none has ended."""
        return all(node.running for node in self.nodes)

    def explain_end(self) -> str:
        """Say how each node that does not run ended."""
        return "\n".join(node.explain_end() for node in self.nodes if not node.running)

    @property
    def environment(self) -> dict[str, str]:
        """What a service's environment must hold to reach the cluster and to log in."""
        servers = {"KAFKA_BOOTSTRAP_SERVERS": self.bootstrap_servers}
        if self._user is None:
            return servers
        return servers | {
            "KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
            "KAFKA_SASL_MECHANISM": "PLAIN",
            "KAFKA_SASL_USERNAME": self._user.name,
            "KAFKA_SASL_PASSWORD": self._user.password,
        }

    @property
    def client_options(self) -> dict[str, Any]:
        """The same for an aiokafka client."""
        servers = {"bootstrap_servers": self.bootstrap_servers}
        if self._user is None:
            return servers
        return servers | {
            "security_protocol": "SASL_PLAINTEXT",
            "sasl_mechanism": "PLAIN",
            "sasl_plain_username": self._user.name,
            "sasl_plain_password": self._user.password,
        }

    def start(self) -> None:
        """Start all nodes on their data and wait until they take connections."""
        if not self._formatted:
            self._format()
        for node in self.nodes:
            node.launch()
        for node in self.nodes:
            node.wait_until_ready()

    def stop(self) -> None:
        """Stop all nodes; the data stay. The last of several have nobody left to hand over to."""
        for node in self.nodes:
            node.ask_to_end()
        for node in self.nodes:
            node.stop()

    def kill(self) -> None:
        """Kill all nodes with SIGKILL; the data stay."""
        for node in self.nodes:
            node.kill()

    async def create_topic(self, name: str, partitions: int = 1) -> None:
        """Create a topic with a copy on every node (three at most); it must not exist."""
        wanted = NewTopic(name, partitions, replication_factor=min(3, len(self.nodes)))
        admin = AIOKafkaAdminClient(**self.client_options)
        await admin.start()
        try:
            response = await admin.create_topics([wanted])
            for _, code, *_ in response.topic_errors:
                if code:
                    refusal: type[KafkaError] = for_code(code)
                    raise refusal(f"topic {name}")
            await _until_known(admin, name)
        finally:
            await admin.close()

    def __enter__(self) -> Self:
        """Start."""
        try:
            self.start()
        except BaseException:
            self._leave()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End it and remove the data; nothing of it is needed any more, so without ceremony."""
        self._leave()

    def _leave(self) -> None:
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _format(self) -> None:
        cluster_id = urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()
        for node in self.nodes:
            node.format(cluster_id, self._settings())
        self._formatted = True

    def _settings(self) -> dict[str, str]:
        """What all nodes have in common."""
        copies = min(3, len(self.nodes))
        voters = (f"{node.number}@{LOCALHOST}:{node.controller_port}" for node in self.nodes)
        protocol = "SASL_PLAINTEXT" if self._user else "PLAINTEXT"
        return {
            "process.roles": "broker,controller",
            "controller.quorum.voters": ",".join(voters),
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "CLIENT",
            "listener.security.protocol.map": f"CLIENT:{protocol},CONTROLLER:PLAINTEXT",
            "auto.create.topics.enable": "false",
            # The fleets of the tests rode months ago: no record is too old to keep.
            "log.retention.ms": "-1",
            "min.insync.replicas": str(min(2, copies)),
            "offsets.topic.replication.factor": str(copies),
            "offsets.topic.num.partitions": "4",
            "transaction.state.log.replication.factor": str(copies),
            "transaction.state.log.min.isr": str(min(2, copies)),
            "transaction.state.log.num.partitions": "4",
            # Workers that vanish are missed, and nodes that vanish replaced, within seconds.
            "group.min.session.timeout.ms": "1000",
            "group.initial.rebalance.delay.ms": "0",
            "broker.session.timeout.ms": "4000",
            "broker.heartbeat.interval.ms": "500",
            "controlled.shutdown.retry.backoff.ms": "500",
            **self._sasl_settings(),
        }

    def _sasl_settings(self) -> dict[str, str]:
        if self._user is None:
            return {}
        name, password = self._user
        login = "org.apache.kafka.common.security.plain.PlainLoginModule required"
        # Brokers would log in to each other as the same user.
        own = f'username="{name}" password="{password}" user_{name}="{password}"'
        return {
            "sasl.enabled.mechanisms": "PLAIN",
            "sasl.mechanism.inter.broker.protocol": "PLAIN",
            "listener.name.client.plain.sasl.jaas.config": f"{login} {own};",
        }


async def _until_known(admin: AIOKafkaAdminClient, topic: str) -> None:
    """Wait until the brokers tell clients of a topic that the controller has made."""
    while topic not in await admin.list_topics():
        await asyncio.sleep(POLL_S)


def steady_port() -> int:
    """Return a free port that stays free for its server while that is down."""
    while True:
        port = random.SystemRandom().choice(STEADY_PORTS)
        if is_free(port):
            return port


def java_program() -> str:
    """Return the machine's `java`; raises `ProgramMissing`."""
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=f"{home}/bin" if home else None)
    if java is None:
        raise ProgramMissing("Apache Kafka needs Java 17 or newer, and no java was found.")
    return java


def require_jars() -> None:
    """Raise `ProgramMissing` where the jars have not been fetched."""
    if not JARS.is_dir():
        raise ProgramMissing("Apache Kafka's jars are missing: `make test-system` fetches them.")
