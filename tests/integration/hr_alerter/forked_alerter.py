"""Alerters that are up at once: copies of one process that has loaded all that they need.

A start from nothing takes most of a second of a processor, which twenty kills need not pay twenty
times. Each copy is a process of its own, with its own environment, log and death. Run as a module
this file *is* the process that is copied.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from demo.guardian import Guardian, group_exists, signal_group
from demo.processes import Program


class Original:
    """The process that is copied; it lives as long as the block."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def copy(self, environment: Mapping[str, str], log_file: Path) -> int:
        """A new alerter's process number."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        told = json.dumps([dict(environment), str(log_file)])
        self._process.stdin.write(told.encode() + b"\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


class ForkedAlerter(Program):
    """A `Program` that is a copy."""

    def __init__(
        self, guardian: Guardian, original: Original, environment: Mapping[str, str], log_file: Path
    ) -> None:
        super().__init__(guardian, "alerter", [], log_file, environment=environment)
        self._original = original
        self._pid: int | None = None

    def start(self) -> None:
        """Start it; what runs of it is killed."""
        self.kill()
        self._pid = self._original.copy(self._environment or {}, self.log_file)
        self._guardian.guard(self._pid, signal.SIGKILL)

    def kill(self) -> None:
        """Kill it, and wait until it is gone."""
        if self._pid is None:
            return
        signal_group(self._pid, signal.SIGKILL)
        while group_exists(self._pid):
            time.sleep(0.002)
        self._guardian.release(self._pid)
        self._pid = None


def copy_until_told_no_more() -> None:
    """A copy for each line of the standard input, told by its process number."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        environment, log_file = json.loads(line)
        if (pid := os.fork()) == 0:
            be_an_alerter(environment, log_file)
        os.write(1, f"{pid}\n".encode())


def be_an_alerter(environment: dict[str, str], log_file: str) -> None:
    """In the copy: run as one that was started from nothing."""
    from hr_alerter.__main__ import main  # noqa: PLC0415

    os.setsid()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    log = os.open(log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(log, stream)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.environ.clear()
    os.environ.update(environment)
    code: object = 1
    try:
        main()
    except SystemExit as end:
        code = end.code
    finally:
        sys.stdout.flush()
        os._exit(code if isinstance(code, int) else 1)


if __name__ == "__main__":
    # Loaded here once, for all copies.
    import deloton.wire.ses  # noqa: F401
    import hr_alerter.__main__  # noqa: F401

    copy_until_told_no_more()
