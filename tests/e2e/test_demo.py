"""`python -m demo` as a person meets it: it shows rides, and leaves nothing behind."""

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncpg
import httpx
import psutil
import pytest

from demo.ports import LOCALHOST
from demo.processes import is_alive
from tests.e2e.started_demo import REPOSITORY, StartedDemo, free_ports

FLEET = ("--bikes=5", "--since=15m", "--back-to-back", "--first-danger=1s")


@pytest.fixture(autouse=True)
def hangups_are_heard() -> Iterator[None]:
    """Whoever runs the tests may have them ignored, as `nohup` has; the demo would obey."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture
def ports() -> dict[str, str]:
    return free_ports()


@pytest.fixture
def start(tmp_path: Path, ports: dict[str, str]) -> Iterator[Callable[[], StartedDemo]]:
    demos: list[StartedDemo] = []

    def start_one() -> StartedDemo:
        demos.append(StartedDemo(tmp_path, ports, FLEET))
        return demos[-1]

    yield start_one
    for demo in demos:
        demo.process.kill()
        demo.process.wait()


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartedDemo]:
    """A demo that rides; it ends when asked to, and leaves nothing."""
    demo = StartedDemo(tmp_path_factory.mktemp("demo"), free_ports(), FLEET)
    try:
        demo.wait_for(lambda: bool(demo.figures()) and demo.figures()[-1].readings > 0)
        yield demo
        assert demo.end(signal.SIGTERM) == 0
        assert demo.leftovers(within_s=0) == []
    finally:
        demo.process.kill()
        demo.process.wait()


def test_rides_and_readings_grow(demo: StartedDemo) -> None:
    demo.wait_for(lambda: demo.figures()[-1].riding > 0 and demo.figures()[-1].lag_lines < 50)
    caught_up = demo.figures()[-1]
    # A reading is two lines; light faults cost a few of them.
    [[stored]] = ask(demo, "SELECT count(*) FROM ride_readings")
    assert stored * 2 > 0.9 * caught_up.lines, "some of the history was skipped"
    # No figure tells of the sandbox's and the canary's.
    assert caught_up.readings < stored
    assert caught_up.rides_ended > 0
    demo.wait_for(lambda: demo.figures()[-1].readings > caught_up.readings)


def test_the_sandbox_key_sees_the_simulated_fleet_alone(demo: StartedDemo) -> None:
    key = re.search(r"sandbox key +(\S+)", demo.output)
    assert key
    headers = {"Authorization": f"Bearer {key[1]}"}
    api = f"http://{LOCALHOST}:{demo.ports['DEMO_API_PORT']}"
    bikes: set[str] = set()
    with httpx.Client(base_url=api, headers=headers, timeout=300) as client:
        while len(bikes) < 3:
            rides = client.get("/v1/rides").raise_for_status().json()["rides"]
            bikes = {ride["bike_serial"] for ride in rides}
    assert bikes == {"SANDBOX0000", "SANDBOX0001", "SANDBOX0002"}


def test_yesterdays_report_is_in_the_inbox(demo: StartedDemo) -> None:
    demo.wait_for(lambda: "Yesterday's report is in the inbox" in demo.output)
    report = Path(demo.output.partition("and here: ")[2].splitlines()[0])
    assert report.read_bytes().startswith(b"%PDF-")


def test_riders_whose_hearts_race_get_mails_within_minutes(demo: StartedDemo) -> None:
    mails = demo.folder / "mails"
    demo.wait_for(lambda: any("Stop and rest now" in m.read_text() for m in mails.glob("*.eml")))
    assert f"http://{LOCALHOST}:{demo.ports['DEMO_INBOX_PORT']}\n" in demo.output


def test_a_killed_ingestor_is_named_and_started_again(demo: StartedDemo) -> None:
    demo.wait_for(lambda: True)
    demo.process_of("ingestor").kill()
    demo.wait_for(lambda: "ingestor was ended by SIGKILL" in demo.output)
    readings = demo.figures()[-1].readings
    demo.wait_for(lambda: demo.figures()[-1].readings > readings)


def test_a_second_demo_says_that_the_first_is_running(demo: StartedDemo) -> None:
    second = StartedDemo(demo.folder, demo.ports, FLEET)
    assert second.process.wait() == 1
    assert f"A demo is already running (process {demo.process.pid}" in second.output
    assert "Traceback" not in second.output


def test_ctrl_c_leaves_nothing(start: Callable[[], StartedDemo]) -> None:
    demo = start()
    demo.wait_for(lambda: bool(demo.figures()))
    data_folders = [Path(path) for process in demo.family for path in data_folder_of(process)]
    assert demo.end(signal.SIGINT) == 0
    assert demo.leftovers(within_s=0) == []
    assert [folder for folder in data_folders if folder.exists()] == []
    assert len(data_folders) == 1
    assert demo.output.endswith("Stopped: nothing is left running.\n")
    assert "Traceback" not in demo.output


def test_kill_9_leaves_nothing_and_the_next_demo_starts_at_once(
    start: Callable[[], StartedDemo],
) -> None:
    killed = start()
    killed.wait_for(lambda: bool(killed.figures()))
    killed.end(signal.SIGKILL)
    following = start()
    following.wait_for(lambda: following.output.count("\nlogs ") == 2)
    assert [process for process in killed.family if is_alive(process)] == []
    assert following.end(signal.SIGHUP) == 0
    assert following.leftovers(within_s=0) == []


def test_a_port_in_use_is_named_with_the_variable_that_moves_it(
    start: Callable[[], StartedDemo], ports: dict[str, str]
) -> None:
    with socket.create_server((LOCALHOST, int(ports["DEMO_KAFKA_PORT"]))):
        demo = start()
        assert demo.process.wait() == 1
    assert demo.output == (
        f"Port {ports['DEMO_KAFKA_PORT']}, meant for the demo's Kafka broker "
        "(DEMO_KAFKA_PORT moves it), is in use by another program.\n"
    )


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, ports: dict[str, str]) -> None:
    (tmp_path / "file").write_text("in the way")
    done = subprocess.run(
        [sys.executable, "-m", "demo"],
        cwd=REPOSITORY,
        env={**os.environ, **ports, "DEMO_DIRECTORY": str(tmp_path / "file" / "folder")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert re.fullmatch(r"The demo cannot write its folder .*\n", done.stderr)


def ask(demo: StartedDemo, query: str) -> list[asyncpg.Record]:
    """The rows of a query to the demo's database, as its owner."""
    address = re.search(r"postgresql://\S+", demo.output)
    assert address

    async def fetch() -> list[asyncpg.Record]:
        connection = await asyncpg.connect(address[0])
        try:
            return list(await connection.fetch(query))
        finally:
            await connection.close()

    return asyncio.run(fetch())


def data_folder_of(process: psutil.Process) -> list[str]:
    """Return the data folder on a PostgreSQL server's command line."""
    words = process.cmdline()
    return [words[words.index("-D") + 1]] if "-D" in words else []
