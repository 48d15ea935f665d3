"""EDGE: where messages can go, and the one that is no broker: a file to look at."""

import base64
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import IO, Protocol

from bike_simulator.fleet import Message


class Outlet(Protocol):
    """Something that takes messages in time order and keeps the order of each key."""

    async def open(self) -> None:
        """Connect; waits for as long as that takes."""

    async def deliver(self, messages: Sequence[Message]) -> None:
        """Return once all of them are safe; to be awaited before the next call."""

    async def close(self) -> None:
        """Let go."""


class FileOutlet:
    """Writes one JSON object a line: `at`, `key`, and `value` or, if no UTF-8, `value_base64`."""

    def __init__(self, file: IO[str]) -> None:
        """Write to `file`, which the caller has opened and will close."""
        self._file = file

    async def open(self) -> None:
        """There is nothing to connect to."""

    async def deliver(self, messages: Sequence[Message]) -> None:
        """Write and flush: whoever follows the file sees live lines at once."""
        self._file.writelines(message_as_json(message) + "\n" for message in messages)
        self._file.flush()

    async def close(self) -> None:
        """Flush what is left."""
        self._file.flush()


def message_as_json(message: Message) -> str:
    """A message for human eyes and small scripts; nothing of it is lost."""
    at = datetime.fromtimestamp(message.at_us / 1e6, UTC)
    line = {"at": at.isoformat(timespec="milliseconds"), "key": message.key.decode()}
    try:
        line["value"] = message.value.decode()
    except UnicodeDecodeError:
        line["value_base64"] = base64.b64encode(message.value).decode()
    return json.dumps(line, ensure_ascii=False)
