"""A demo that a test starts, watches and ends as a person would."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import psutil

from demo.ports import free_port, is_free
from demo.processes import is_alive
from demo.settings import PORTS

REPOSITORY = Path(__file__).parents[2]
FIGURES = re.compile(
    r"riding now (\d+)  rides ended ([\d,]+)  readings ([\d,]+) \(.*\)"
    r"  lag ([\d,]+) of ([\d,]+) lines"
)


def free_ports() -> dict[str, str]:
    """The variables that move the demo's ports, each to a free one."""
    return {port.variable: str(free_port()) for port in PORTS}


class Seen(NamedTuple):
    """What one printed line says."""

    riding: int
    rides_ended: int
    readings: int
    lag_lines: int
    lines: int


class StartedDemo:
    """A demo on ports of its own, its output in a file, and every process it has started."""

    def __init__(self, folder: Path, ports: dict[str, str], fleet: Sequence[str]) -> None:
        self.ports = ports
        self.folder = folder
        self._output_file = folder / "output.txt"
        with self._output_file.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "demo", "--stop-with-parent", *fleet],
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

    def wait_for(self, done: Callable[[], bool], seconds: float = 300) -> None:
        deadline = time.monotonic() + seconds
        while not done():
            assert self.process.poll() is None, self.output
            assert time.monotonic() < deadline, self.output
            time.sleep(0.1)
        self.family = psutil.Process(self.process.pid).children(recursive=True)

    def process_of(self, module: str) -> psutil.Process:
        [process] = self.processes_of(module)
        return process

    def processes_of(self, module: str) -> list[psutil.Process]:
        return [one for one in self.family if ["-m", module] == one.cmdline()[1:3]]

    def end(self, number: signal.Signals) -> int:
        """Send it a signal and return its exit code; the test's time limit bounds the wait."""
        self.process.send_signal(number)
        return self.process.wait()

    def leftovers(self, within_s: float = 30) -> list[object]:
        """What still runs, listens or lies about after some seconds; empty as soon as nothing."""
        deadline = time.monotonic() + within_s
        while True:
            left: list[object] = [process for process in self.family if is_alive(process)]
            left += [port for port in self.ports.values() if not is_free(int(port))]
            if not left or time.monotonic() > deadline:
                return left
            time.sleep(0.05)
