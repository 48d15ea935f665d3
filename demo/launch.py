"""SHELL: starts the servers and the services in order, and stops them in reverse order."""

import asyncio
import contextlib
import logging
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from rich.console import Console

from deloton.store.roles import SERVICE_ROLES, url_as
from demo import settings as chosen
from demo.embedded_broker import EmbeddedBroker
from demo.embedded_postgres import EmbeddedPostgres
from demo.errors import PortInUse, ProgramFailed
from demo.guardian import Guardian
from demo.ports import LOCALHOST, ensure_free
from demo.processes import Program, inherit_environment
from demo.run_directory import hold_run_directory
from demo.services import (
    RAW_TOPIC,
    RAW_TOPIC_PARTITIONS,
    STOPS_WITHIN_S,
    Service,
    make_services,
    shared_environment,
)
from demo.settings import Settings
from demo.supervision import Startable, Watched

# A demo killed a moment ago may still be dying.
PORTS_FREE_WITHIN_S = 5.0
# Of the database's owner and of each service's role: it listens on this machine alone.
PASSWORD = "deloton"  # noqa: S105


@dataclass(frozen=True)
class Running:
    """What runs now, and where it can be reached.

    `environment` is what every service gets; `programs` are the services' own, in their order.
    """

    environment: Mapping[str, str]
    logs: Path
    services: Sequence[Service]
    programs: "Sequence[Restartable]"
    servers: Sequence[Watched]
    reporter: Program
    reports: Path
    inbox: str
    api_key: str
    sandbox_key: str
    api: str

    @property
    def database_url(self) -> str:
        """Where the database is, for its owner."""
        return self.environment["DATABASE_URL"]

    @property
    def bootstrap_servers(self) -> str:
        """Where the broker is."""
        return self.environment["KAFKA_BOOTSTRAP_SERVERS"]

    @cached_property
    def watched(self) -> Sequence[Watched]:
        """Servers and services under watch."""
        return [*self.servers, *map(watch_service, self.services, self.programs)]

    def addresses(self) -> list[tuple[str, str]]:
        """Return what a person may want to open."""
        pages = [(service.name, service.page) for service in self.services if service.page]
        return [
            ("database", self.database_url),
            ("Kafka", self.bootstrap_servers),
            *pages,
            ("API key", self.api_key),
            ("sandbox key", self.sandbox_key),
            (
                "try",
                f'curl -H "Authorization: Bearer {self.api_key}" "{self.api}/v1/rides?limit=3"',
            ),
            ("logs", str(self.logs)),
        ]


@contextlib.asynccontextmanager
async def start_everything(settings: Settings, console: Console) -> AsyncIterator[Running]:
    """Start servers and services, and stop them when left."""
    with hold_run_directory(settings.run_directory) as logs:
        log_our_own_troubles(logs / "demo.log")
        await wait_for_free_ports(settings)
        with Guardian() as guardian, start_servers(settings, guardian, logs) as (postgres, broker):
            console.print("PostgreSQL and the Kafka broker are up.")
            environment = await fill_servers(settings, guardian, logs, postgres, broker)
            console.print("The database has its tables.")
            services = make_services(settings)
            running = Running(
                environment=environment,
                logs=logs,
                services=services,
                programs=[Restartable(guardian, each, environment, logs) for each in services],
                servers=[
                    Watched("PostgreSQL", postgres),
                    Watched("Kafka broker", broker, keeps_data=False),
                ],
                reporter=make_reporter(settings, guardian, as_role("reporter", environment), logs),
                reports=settings.reports,
                inbox=f"http://{LOCALHOST}:{settings.port(chosen.INBOX)}",
                api=f"http://{LOCALHOST}:{settings.port(chosen.API)}",
                api_key=await make_api_key(environment, "demo", "read,personal,erase"),
                sandbox_key=await make_api_key(
                    environment, "sandbox", "read,personal,webhooks", "--sandbox"
                ),
            )
            with started(running, console):
                yield running


@contextlib.contextmanager
def started(running: Running, console: Console) -> Iterator[None]:
    """Start the services in their order; stop them, and the reporter, in reverse when left."""
    try:
        for program in running.programs:
            program.start()
        yield
    finally:
        with contextlib.suppress(OSError):  # the terminal may be gone
            console.print("Stopping …")
        running.reporter.stop()
        for program in reversed(running.programs):
            program.stop()


async def fill_servers(
    settings: Settings,
    guardian: Guardian,
    logs: Path,
    postgres: EmbeddedPostgres,
    broker: EmbeddedBroker,
) -> dict[str, str]:
    """Make the database with its tables, and the raw topic; the environment of who uses them."""
    database_url = await asyncio.to_thread(postgres.create_database, "deloton")
    await broker.create_topic(RAW_TOPIC, RAW_TOPIC_PARTITIONS)
    environment = inherit_environment(
        **shared_environment(settings, database_url, broker.bootstrap_servers)
    )
    await migrate(guardian, environment, logs)
    return environment


@contextlib.contextmanager
def start_servers(
    settings: Settings, guardian: Guardian, logs: Path
) -> Iterator[tuple[EmbeddedPostgres, EmbeddedBroker]]:
    """Start the database and the broker, both empty."""
    postgres = EmbeddedPostgres(
        guardian,
        port=settings.port(chosen.DATABASE),
        password=PASSWORD,
        log_file=logs / "postgresql.log",
    )
    broker = EmbeddedBroker(guardian, port=settings.port(chosen.KAFKA), log_file=logs / "kafka.log")
    with postgres, broker:
        yield postgres, broker


def make_reporter(
    settings: Settings, guardian: Guardian, environment: dict[str, str], logs: Path
) -> Program:
    """Describe the program that sends yesterday's report; it runs once and ends."""
    settings.reports.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "reporter", f"--out={settings.reports}"]
    return Program(
        guardian, "The reporter", command, logs / "reporter.log", environment=environment
    )


def watch_service(service: Service, program: Startable) -> Watched:
    """Return what is watched of a service."""
    return Watched(service.name, program, service.health)


def log_our_own_troubles(log_file: Path) -> None:
    """Send the warnings of libraries to a file: they would tear the live page apart."""
    logging.basicConfig(filename=log_file, level=logging.WARNING, force=True)


async def wait_for_free_ports(settings: Settings) -> None:
    """Return when every port is free; raise `PortInUse` for one that stays taken."""
    deadline = time.monotonic() + PORTS_FREE_WITHIN_S
    for port in chosen.PORTS:
        purpose = f"{port.purpose} ({port.variable} moves it)"
        while True:
            try:
                ensure_free(settings.port(port), purpose)
                break
            except PortInUse:
                if time.monotonic() > deadline:
                    raise
            await asyncio.sleep(0.1)


def as_role(role: str | None, environment: dict[str, str]) -> dict[str, str]:
    """Return the environment of a program that logs in to the database with a role of its own."""
    if role is None:
        return environment
    return {**environment, "DATABASE_URL": url_as(environment["DATABASE_URL"], role, PASSWORD)}


async def migrate(guardian: Guardian, environment: dict[str, str], logs: Path) -> None:
    """Give the database its tables, and each service's role its password."""
    passwords = {f"{role.upper()}_DATABASE_PASSWORD": PASSWORD for role in SERVICE_ROLES}
    migration = Program(
        guardian,
        "The migration",
        [sys.executable, "-m", "deloton.migrate"],
        logs / "migrate.log",
        environment={**environment, **passwords},
    )
    migration.start()
    try:
        if await migration.wait() != 0:
            raise ProgramFailed(migration.explain_end())
    finally:
        migration.stop()


async def make_api_key(environment: dict[str, str], name: str, scopes: str, *options: str) -> str:
    """Make a key of the API."""
    making = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "api.keys", "create"),
        *("--name", name, "--scopes", scopes, *options),
        env=as_role("api", environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    key, troubles = await making.communicate()
    if making.returncode != 0:
        raise ProgramFailed(f"The API key could not be made: {troubles.decode().strip()}")
    return key.decode().strip()


class Restartable:
    """A service's program: the first start may take other arguments than later ones."""

    def __init__(
        self, guardian: Guardian, service: Service, environment: dict[str, str], logs: Path
    ) -> None:
        """Describe it; nothing is started yet."""
        self._guardian = guardian
        self._service = service
        self._environment = {**as_role(service.role, environment), **service.environment}
        self._log_file = logs / f"{service.name}.log"
        self._program: Program | None = None

    def start(self) -> None:
        """Start the service."""
        service = self._service
        later = self._program is not None and service.again is not None
        arguments = (service.again or ()) if later else service.arguments
        self.stop()
        self._program = Program(
            self._guardian,
            service.name,
            [sys.executable, "-m", service.module, *arguments],
            self._log_file,
            environment=self._environment,
        )
        self._program.start()

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._program is not None and self._program.running

    @property
    def pid(self) -> int:
        """The number of the process that runs it now."""
        if self._program is None:
            raise ProgramFailed(f"{self._service.name} was never started.")
        return self._program.pid

    def stop(self) -> None:
        """Stop it, and what it may have left of its process group."""
        if self._program is not None:
            self._program.stop(STOPS_WITHIN_S)

    def explain_end(self) -> str:
        """Say how it ended, with its last lines."""
        return self._program.explain_end() if self._program else f"{self._service.name} is new."
