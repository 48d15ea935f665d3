"""EDGE: programs we start, each in a process group of its own, watched by the guardian."""

import asyncio
import os
import signal
import subprocess
import textwrap
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from demo.errors import ProgramFailed, ProgramMissing
from demo.guardian import Guardian, signal_group

POLL_S = 0.02
LAST_BYTES = 64 * 1024
# A log's line may hold a whole trace: the rest stands in the file.
LONGEST_LINE = 300


class Program:
    """One program: its command, its log file, and the process that runs it now.

    It may be started again after it has ended; the log goes on in the same file.
    Its own process group keeps a terminal's Ctrl-C from it: who stops what, and in
    which order, is decided here alone.
    """

    def __init__(
        self,
        guardian: Guardian,
        name: str,
        command: Sequence[str | Path],
        log_file: Path,
        *,
        environment: Mapping[str, str] | None = None,
        user: str | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
        last_signal: signal.Signals = signal.SIGKILL,
    ) -> None:
        """Describe the program; nothing is started yet.

        `user` runs it as another system user (only root can). `stop_signal` asks it to
        end, `last_signal` is what the guardian sends when we have been killed.
        """
        self.name = name
        self.log_file = log_file
        self._guardian = guardian
        self._command = [str(word) for word in command]
        self._environment = environment
        self._user = user
        self._stop_signal = stop_signal
        self._last_signal = last_signal
        self._process: subprocess.Popen[bytes] | None = None
        self._log_begins_at = 0

    def start(self) -> None:
        """Start the program; what an earlier start has left running is killed."""
        self.kill()
        with self.log_file.open("ab") as log:
            self._log_begins_at = log.tell()
            try:
                self._process = subprocess.Popen(
                    self._command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=self._environment,
                    start_new_session=True,
                    **as_user(self._user),
                )
            except FileNotFoundError as error:
                raise ProgramMissing(
                    f"{self.name} cannot start: {error.filename} is missing."
                ) from error
        self._guardian.guard(self._process.pid, self._last_signal)

    @property
    def pid(self) -> int:
        """The number of the process that was started last."""
        if self._process is None:
            raise ProgramFailed(f"{self.name} was never started.")
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """How it ended: None while it runs, negative for a signal's number."""
        return None if self._process is None else self._process.poll()

    def stop(self, grace_s: float = 10.0) -> None:
        """Ask it to end, and kill its whole group if it has not after `grace_s` seconds."""
        if self._process is None:
            return
        if self.running:
            self.signal(self._stop_signal)
            self._wait_for_end(grace_s)
        self.kill()

    def kill(self) -> None:
        """Kill it with all its descendants, as a crash would, and wait until they are gone."""
        if self._process is None:
            return
        family = descendants(self._process.pid) if self.running else []
        signal_group(self._process.pid, signal.SIGKILL)
        for process in family:
            kill_process(process)
        self._process.wait()
        wait_until_gone(family)
        self._guardian.release(self._process.pid)
        self._process = None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the program alone."""
        if self._process is not None:
            self._process.send_signal(number)

    async def wait(self) -> int:
        """Wait until it has ended and return its exit code."""
        while (code := self.exit_code) is None:  # noqa: ASYNC110  a process sets no event
            await asyncio.sleep(POLL_S)
        return code

    def last_lines(self, count: int = 8) -> list[str]:
        """Return the end of what it has logged since it was started last."""
        if not self.log_file.is_file():
            return []
        with self.log_file.open("rb") as log:
            log.seek(max(self._log_begins_at, self.log_file.stat().st_size - LAST_BYTES))
            lines = log.read().decode(errors="replace").splitlines()[-count:]
        return [textwrap.shorten(line, LONGEST_LINE, placeholder=" …") for line in lines]

    def explain_end(self) -> str:
        """Say in a few lines how it ended, with the end of its log."""
        lines = "".join(f"\n    {line}" for line in self.last_lines())
        end = describe_exit(self.exit_code)
        return f"{self.name} {end}. Its last lines, from {self.log_file}:{lines or ' none.'}"

    def _wait_for_end(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while self.running and time.monotonic() < deadline:
            time.sleep(POLL_S)


def as_user(user: str | None) -> dict[str, Any]:
    """Return what `subprocess` needs to run a program as `user` (None: as ourselves).

    Another user may not be able to enter the folder we are in, so it starts in `/`.
    """
    if user is None:
        return {}
    return {"user": user, "group": group_of(user), "extra_groups": [], "cwd": "/"}


def group_of(user: str) -> int:
    """Return a system user's own group."""
    import pwd  # noqa: PLC0415  only Unix has it, and only root comes here

    return pwd.getpwnam(user).pw_gid


def describe_exit(code: int | None) -> str:
    """Say how a program ended: `ended with exit code 1`, `was ended by SIGKILL`."""
    if code is None:
        return "is still running"
    if code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"


def descendants(pid: int) -> list[psutil.Process]:
    """Return all processes below `pid`, whatever their process groups."""
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def kill_process(process: psutil.Process) -> None:
    """Kill one process, which may be gone."""
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return


def wait_until_gone(processes: Sequence[psutil.Process], seconds: float = 30.0) -> None:
    """Wait until no process is left; a zombie counts as gone: it holds nothing any more."""
    deadline = time.monotonic() + seconds
    while any(is_alive(process) for process in processes) and time.monotonic() < deadline:
        time.sleep(POLL_S)


def is_alive(process: psutil.Process) -> bool:
    """Say whether a process still does something: zombies do not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def inherit_environment(**changes: str) -> dict[str, str]:
    """Return our environment with some names set."""
    return {**os.environ, **changes}
