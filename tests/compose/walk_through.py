"""A walk through the whole system in containers: `make test-compose`.

Starts what docker-compose.yml says, looks for what came of the bikes' lines at each end, kills each
service in turn, and redeploys one while the others go on. Run by its path alone: it takes the
machine's Docker engine and some minutes.
"""

import json
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

REPOSITORY = Path(__file__).parents[2]
pytestmark = pytest.mark.timeout(900)

# Kills what the container's init started, as a crash would: the restart policy brings it back.
KILL = (
    "import os, signal;"
    "os.kill(int(open('/proc/1/task/1/children').read().split()[0]), signal.SIGKILL)"
)
QUERY = (
    "import asyncio, asyncpg, os\n"
    "async def ask():\n"
    "    c = await asyncpg.connect(os.environ['DATABASE_URL'])\n"
    "    print(await c.fetchval({query!r}))\n"
    "asyncio.run(ask())"
)
SERVICES = ("ingestor", "hr-alerter", "api", "dashboard")


def compose(*arguments: str) -> str:
    """What `docker compose` prints; where it fails, what it says."""
    command = ["docker", "compose", "--project-name", "deloton-walk", *arguments]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{arguments}: {done.stderr[-2000:]}"
    return done.stdout


def python_in(service: str, program: str) -> str:
    return compose("exec", "-T", service, "python", "-c", program).strip()


def number(query: str) -> int:
    """What one query gives, asked from inside."""
    return int(python_in("ingestor", QUERY.format(query=query)))


def published(service: str, port: int) -> str:
    return "http://" + compose("port", service, str(port)).strip()


def page(url: str, **headers: str) -> str:
    with urlopen(Request(url, headers=headers), timeout=10) as answer:
        body: bytes = answer.read()
    return body.decode()


def eventually(holds: Callable[[], bool], within_s: float = 180) -> None:
    deadline = time.monotonic() + within_s
    while True:
        try:
            if holds():
                return
        except (AssertionError, OSError, ValueError) as error:
            last: object = error
        else:
            last = "it does not hold"
        assert time.monotonic() < deadline, last
        time.sleep(1)


def container(service: str) -> str:
    return compose("ps", "--quiet", service).strip()


def state(service: str) -> dict[str, object]:
    shown = subprocess.check_output(["docker", "inspect", container(service)], text=True)
    found: dict[str, object] = json.loads(shown)[0]
    return found


@pytest.fixture(scope="module", autouse=True)
def system() -> Iterator[None]:
    """The whole system, from images built of what lies here, with data of its own."""
    compose("up", "--build", "--detach", "--wait")
    yield
    compose("down", "--volumes", "--remove-orphans")


def test_lines_become_rows() -> None:
    eventually(lambda: number("SELECT count(*) FROM readings") > 100)


def test_the_dashboard_answers() -> None:
    assert "<title>" in page(published("dashboard", 8501))


def test_the_api_tells_the_rides() -> None:
    made = compose(
        "exec", "-T", "api", *("python", "-m", "api.keys", "create"),
        "--name", f"walk-{uuid.uuid4().hex[:6]}", "--scopes", "read",
    )  # fmt: skip
    key = next(word for word in made.split() if len(word) > 30)
    rides = json.loads(page(published("api", 8000) + "/v1/rides", Authorization=f"Bearer {key}"))
    assert rides


def test_an_alert_reaches_an_inbox() -> None:
    inbox = published("mail", 8025) + "/api/v1/messages"
    eventually(
        lambda: number("SELECT count(*) FROM heart_rate_alerts WHERE state = 'sent'") > 0, 420
    )
    assert json.loads(page(inbox))["messages"]


def test_the_report_is_made() -> None:
    eventually(lambda: number("SELECT count(*) FROM reports") > 0)


@pytest.mark.parametrize("service", SERVICES)
def test_a_killed_service_comes_back_and_the_rows_go_on(service: str) -> None:
    before = state(service)["RestartCount"]
    compose("exec", "-T", service, "python", "-c", KILL)
    eventually(lambda: state(service)["RestartCount"] != before)
    eventually(lambda: state(service)["State"]["Health"]["Status"] == "healthy")  # type: ignore[index]
    stored = number("SELECT count(*) FROM readings")
    eventually(lambda: number("SELECT count(*) FROM readings") > stored)


def test_one_service_is_redeployed_while_the_others_go_on() -> None:
    others = {service: container(service) for service in SERVICES if service != "api"}
    before = container("api")
    compose("up", "--detach", "--build", "--no-deps", "--force-recreate", "--wait", "api")
    assert container("api") != before
    assert {service: container(service) for service in others} == others
