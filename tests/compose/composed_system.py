"""The whole system in containers, as `docker compose` makes it of what lies here.

Ports are free ones, data its own: `make up` and `make demo` may run beside it.
"""

import asyncio
import json
import os
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import asyncpg

from demo.ports import free_port

REPOSITORY = Path(__file__).parents[2]
PROJECT = "deloton-walk"
PUBLISHED = (
    "KAFKA", "POSTGRES", "MAIL", "STORAGE", "INGESTOR", "HR_ALERTER", "CANARY", "API",
    "DASHBOARD",
    "PROMETHEUS", "GRAFANA",
)  # fmt: skip
ENVIRONMENT = {
    **os.environ,
    **{f"{name}_PORT": str(free_port()) for name in PUBLISHED},
    # Whatever the hour: so many bikes are ridden all the time.
    "ROUND_THE_CLOCK": "20",
    "DOCKER_BUILDKIT": "1",
}

# Kills what the container's init started, as a crash would. (`docker kill` would not do: what a
# person kills, the engine leaves alone.)
KILL = (
    "import os, signal;"
    "os.kill(int(open('/proc/1/task/1/children').read().split()[0]), signal.SIGKILL)"
)


def compose(*arguments: str) -> str:
    """What `docker compose` prints; where it fails, what it says."""
    done = run_compose(*arguments)
    assert done.returncode == 0, f"{arguments}: {done.stderr[-2000:]}"
    return done.stdout


def run_compose(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Ask `docker compose` for something, however it ends."""
    command = ["docker", "compose", "--project-name", PROJECT, *arguments]
    return subprocess.run(
        command, cwd=REPOSITORY, env=ENVIRONMENT, capture_output=True, text=True, check=False
    )


def crash(service: str) -> None:
    """Kill a service's program. The command in its container often dies with the container."""
    run_compose("exec", "-T", service, "python", "-c", KILL)


def container(service: str) -> dict[str, Any]:
    """What the engine knows of a service's container, also while it is started again."""
    number = compose("ps", "--all", "--quiet", service).strip()
    shown = subprocess.check_output(["docker", "inspect", number], text=True)
    found: dict[str, Any] = json.loads(shown)[0]
    return found


def is_well(service: str) -> bool:
    """Whether the container is healthy or, where it has no check, has run for ten seconds."""
    state = container(service)["State"]
    if "Health" in state:
        return bool(state["Health"]["Status"] == "healthy")
    since = datetime.fromisoformat(state["StartedAt"])
    return bool(state["Running"]) and datetime.now(UTC) - since > timedelta(seconds=10)


def rows(query: str) -> list[asyncpg.Record]:
    """What one query gives, asked as the database's owner."""

    async def ask() -> list[asyncpg.Record]:
        connection = await asyncpg.connect(database_url())
        try:
            return list(await connection.fetch(query))
        finally:
            await connection.close()

    # In a thread of its own: here may be a loop that runs, as under a browser.
    with ThreadPoolExecutor(1) as apart:
        return apart.submit(asyncio.run, ask()).result()


def number(query: str) -> int:
    """The one number that a query gives."""
    return int(rows(query)[0][0])


def database_url() -> str:
    """The database as its owner reaches it from here."""
    return f"postgresql://deloton:deloton@127.0.0.1:{ENVIRONMENT['POSTGRES_PORT']}/deloton"


def address(service: str) -> str:
    """Where a service's page answers."""
    name = service.upper().replace("-", "_")
    return f"http://127.0.0.1:{ENVIRONMENT[f'{name}_PORT']}"


def page(url: str, **headers: str) -> str:
    """What a page says."""
    with urlopen(Request(url, headers=headers), timeout=10) as answer:
        body: bytes = answer.read()
    return body.decode()


def eventually(holds: Callable[[], bool], within_s: float = 180) -> None:
    """Wait until something holds; what goes wrong meanwhile is asked again."""
    deadline = time.monotonic() + within_s
    while True:
        last: object = "it does not hold"
        try:
            if holds():
                return
        except (AssertionError, OSError, ValueError, asyncpg.PostgresError) as error:
            last = error
        assert time.monotonic() < deadline, last
        time.sleep(1)
