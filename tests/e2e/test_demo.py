"""`python -m demo` as a person meets it: it shows rides, and leaves nothing behind."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest

from demo.ports import LOCALHOST, free_port, is_free
from demo.processes import is_alive
from demo.settings import PORTS

REPOSITORY = Path(__file__).parents[2]
FLEET = ("--bikes=5", "--since=15m", "--back-to-back")
FIGURES = re.compile(
    r"riding now (\d+)  rides ended ([\d,]+)  readings ([\d,]+) \(.*\)"
    r"  lag ([\d,]+) of ([\d,]+) lines"
)

pytestmark = pytest.mark.timeout(150)


@pytest.fixture(autouse=True)
def hangups_are_heard() -> Iterator[None]:
    """Whoever runs the tests may have them ignored, as `nohup` has; the demo would obey."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


class Seen(NamedTuple):
    """What one printed line says."""

    riding: int
    rides_ended: int
    readings: int
    lag_lines: int
    lines: int


class StartedDemo:
    """A demo on ports of its own, its output in a file, and every process it has started."""

    def __init__(self, folder: Path, ports: dict[str, str]) -> None:
        self.ports = ports
        self.folder = folder
        self._output_file = folder / "output.txt"
        with self._output_file.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "demo", *FLEET],
                cwd=REPOSITORY,
                env={**os.environ, **ports, "DEMO_DIRECTORY": str(folder)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.family: list[psutil.Process] = []

    @property
    def output(self) -> str:
        return self._output_file.read_text()

    def figures(self) -> list[Seen]:
        """The figures of each line printed so far."""
        found = FIGURES.findall(self.output)
        return [Seen(*(int(number.replace(",", "")) for number in line)) for line in found]

    def wait_for(self, done: Callable[[], bool], seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while not done():
            assert self.process.poll() is None, self.output
            assert time.monotonic() < deadline, self.output
            time.sleep(0.1)
        self.family = psutil.Process(self.process.pid).children(recursive=True)

    def process_of(self, module: str) -> psutil.Process:
        [process] = [one for one in self.family if ["-m", module] == one.cmdline()[1:3]]
        return process

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return self.process.wait(timeout=45)

    def leftovers(self, within_s: float = 10) -> list[object]:
        """What still runs, listens or lies about after some seconds; empty as soon as nothing."""
        deadline = time.monotonic() + within_s
        while True:
            left: list[object] = [process for process in self.family if is_alive(process)]
            left += [port for port in self.ports.values() if not is_free(int(port))]
            if not left or time.monotonic() > deadline:
                return left
            time.sleep(0.05)


@pytest.fixture
def ports() -> dict[str, str]:
    return {port.variable: str(free_port()) for port in PORTS}


@pytest.fixture
def start(tmp_path: Path, ports: dict[str, str]) -> Iterator[Callable[[], StartedDemo]]:
    demos: list[StartedDemo] = []

    def start_one() -> StartedDemo:
        demos.append(StartedDemo(tmp_path, ports))
        return demos[-1]

    yield start_one
    for demo in demos:
        demo.process.kill()
        demo.process.wait()


def test_rides_and_readings_grow_and_ctrl_c_leaves_nothing(
    start: Callable[[], StartedDemo],
) -> None:
    demo = start()
    demo.wait_for(lambda: any(seen.riding and seen.lag_lines < 50 for seen in demo.figures()))
    caught_up = demo.figures()[-1]
    # A reading is two lines; light faults cost a few of them.
    assert caught_up.readings * 2 > 0.9 * caught_up.lines, "some of the history was skipped"
    assert caught_up.rides_ended > 0
    demo.wait_for(lambda: demo.figures()[-1].readings > caught_up.readings)
    demo.wait_for(lambda: "Yesterday's report is in the inbox" in demo.output)
    report = Path(demo.output.partition("and here: ")[2].splitlines()[0])
    assert report.read_bytes().startswith(b"%PDF-")
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
    assert following.end(signal.SIGTERM) == 0
    assert following.leftovers(within_s=0) == []


def test_a_killed_ingestor_is_named_and_started_again(start: Callable[[], StartedDemo]) -> None:
    demo = start()
    demo.wait_for(lambda: bool(demo.figures()) and demo.figures()[-1].readings > 0)
    demo.process_of("ingestor").kill()
    demo.wait_for(lambda: "ingestor was ended by SIGKILL" in demo.output)
    readings = demo.figures()[-1].readings
    demo.wait_for(lambda: demo.figures()[-1].readings > readings)
    assert demo.end(signal.SIGHUP) == 0
    assert demo.leftovers(within_s=0) == []


def test_riders_whose_hearts_race_get_mails_within_minutes(
    start: Callable[[], StartedDemo],
) -> None:
    demo = start()
    mails = demo.folder / "mails"
    demo.wait_for(
        lambda: any("Stop and rest now" in m.read_text() for m in mails.glob("*.eml")), 100
    )
    assert f"http://{LOCALHOST}:{demo.ports['DEMO_INBOX_PORT']}\n" in demo.output
    assert demo.end(signal.SIGINT) == 0


def test_a_second_demo_says_that_the_first_is_running(start: Callable[[], StartedDemo]) -> None:
    first = start()
    first.wait_for(lambda: "\nlogs " in first.output)
    second = start()
    assert second.process.wait(timeout=20) == 1
    assert f"A demo is already running (process {first.process.pid}" in second.output
    assert "Traceback" not in second.output
    assert first.end(signal.SIGINT) == 0


def test_a_port_in_use_is_named_with_the_variable_that_moves_it(
    start: Callable[[], StartedDemo], ports: dict[str, str]
) -> None:
    with socket.create_server((LOCALHOST, int(ports["DEMO_KAFKA_PORT"]))):
        demo = start()
        assert demo.process.wait(timeout=30) == 1
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


def data_folder_of(process: psutil.Process) -> list[str]:
    """Return the data folder on a PostgreSQL server's command line."""
    words = process.cmdline()
    return [words[words.index("-D") + 1]] if "-D" in words else []
