"""EDGE: a small process that outlives us just long enough to end what we started.

A process killed by SIGKILL cannot tidy up. So we hold one end of a pipe, the guardian
the other: when we are gone, however that came about, the pipe closes, and the guardian
ends the programs and removes the folders it was told of. This needs nothing of Linux
alone, and covers programs that run as another user.

Run as a script this file *is* the guardian: it may import the standard library only.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

GRACE_S = 5.0


class Guardian:
    """Our end of the pipe."""

    def __init__(self) -> None:
        """Start the guardian process."""
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
        )

    def guard(self, pid: int, last_signal: signal.Signals) -> None:
        """When we are gone, send `last_signal` to the process group `pid`, then SIGKILL."""
        self._tell("guard", pid, int(last_signal))

    def release(self, pid: int) -> None:
        """Forget the process group `pid`: it has ended."""
        self._tell("release", pid)

    def remove_later(self, folder: Path) -> None:
        """When we are gone, or close, remove `folder` and all in it."""
        self._tell("remove", str(folder))

    def close(self) -> None:
        """End everything still guarded, remove the folders, and wait until that is done."""
        self._process.communicate()

    def __enter__(self) -> Self:
        """Return the running guardian."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close."""
        self.close()

    def _tell(self, *words: str | int) -> None:
        assert self._process.stdin is not None  # noqa: S101  it was opened as a pipe
        self._process.stdin.write(json.dumps(words).encode() + b"\n")
        self._process.stdin.flush()


def watch(lines: Iterable[bytes]) -> None:
    """Take notes until the pipe closes, then end and remove what is on them."""
    guarded: dict[int, int] = {}
    folders: set[Path] = set()
    for line in lines:
        match json.loads(line):
            case ["guard", pid, last_signal]:
                guarded[pid] = last_signal
            case ["release", pid]:
                guarded.pop(pid, None)
            case ["remove", folder]:
                folders.add(Path(folder))
    end_all(guarded)
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def end_all(guarded: dict[int, int]) -> None:
    """Send each process group its last signal, and SIGKILL to those that stay."""
    for pid, last_signal in guarded.items():
        signal_group(pid, last_signal)
    deadline = time.monotonic() + GRACE_S
    while any(group_exists(pid) for pid in guarded) and time.monotonic() < deadline:
        time.sleep(0.02)
    for pid in guarded:
        signal_group(pid, signal.SIGKILL)


def signal_group(pid: int, number: int) -> None:
    """Send a signal to a process group, which may be gone."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def group_exists(pid: int) -> bool:
    """Say whether a process group is still at work, as far as can be told.

    In a container whose first process reaps nobody, zombies stay: they do not count.
    """
    if is_zombie(pid):
        return False
    try:
        os.killpg(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # macOS says so of a group of zombies
        return False
    return True


def is_zombie(pid: int) -> bool:
    """Say whether a process has ended unnoticed; where there is no /proc, say no."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[:1] == ["Z"]


if __name__ == "__main__":
    for unwanted in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(unwanted, signal.SIG_IGN)
    watch(sys.stdin.buffer)
