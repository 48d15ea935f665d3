"""EDGE: the folder a running demo holds: one demo at a time, its logs in one place."""

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from demo.errors import AlreadyRunning, FolderNotWritable


@contextlib.contextmanager
def hold_run_directory(folder: Path) -> Iterator[Path]:
    """Hold the folder while the demo runs, and give an empty folder for its logs.

    Mails and reports of the last demo are gone too: they tell of riders in a database that is
    no more.

    The hold is a lock of the operating system: it ends with the process, however that ends.
    """
    logs = folder / "logs"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "lock").open("a+")
    except OSError as error:
        raise FolderNotWritable(
            f"The demo cannot write its folder {folder} ({error.strerror}); "
            "name another with DEMO_DIRECTORY."
        ) from error
    with lock:
        take(lock.fileno(), folder)
        for left in (logs, folder / "mails", folder / "reports", folder / "exports"):
            shutil.rmtree(left, ignore_errors=True)
        logs.mkdir(exist_ok=True)
        yield logs


def take(lock: int, folder: Path) -> None:
    """Lock the file, and write our process number into it; raise `AlreadyRunning` if held."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(lock, 32, 0).decode(errors="replace").strip() or "unknown"
        raise AlreadyRunning(
            f"A demo is already running (process {holder}, folder {folder}): stop that one first."
        ) from None
    os.ftruncate(lock, 0)
    os.write(lock, f"{os.getpid()}\n".encode())
