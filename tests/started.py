"""Programs that a test starts by itself: none outlives it, however it ends."""

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def started(
    command: Sequence[str | Path],
    **options: Any,  # noqa: ANN401 - Popen's
) -> Iterator[subprocess.Popen[str]]:
    """A running program; whatever still runs of it when this is left is killed.

    How long it may take for something is for the test's own time limit to say.
    """
    with subprocess.Popen(command, text=True, **options) as program:
        try:
            yield program
        finally:
            program.kill()
