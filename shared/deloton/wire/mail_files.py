"""EDGE: mails as files of a folder, each under its name only once it is whole."""

import asyncio
import os
import uuid
from email.message import EmailMessage
from pathlib import Path

from deloton.errors import MailUnavailable
from deloton.wire.mail_messages import on_the_wire


class FileMailer:
    """Writes each mail to a file of its own, which any mail program opens."""

    def __init__(self, folder: Path) -> None:
        """Describe the folder; it is made when the first mail comes."""
        self._folder = folder

    async def send(self, message: EmailMessage) -> str:
        """Write a message; return the file's name."""
        raw, _ = on_the_wire(message)
        return await asyncio.to_thread(self._write, raw)

    def _write(self, raw: bytes) -> str:
        name = f"{uuid.uuid4()}.eml"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            write_whole(self._folder / name, raw)
        except OSError as error:
            raise MailUnavailable(os.strerror(error.errno or 0)) from error
        return name


def write_whole(path: Path, content: bytes) -> Path:
    """Write a file that is there whole or not at all. Raises `OSError`, as of a full disk."""
    unfinished = path.with_name(f".{path.name}")
    try:
        with unfinished.open("wb") as file:
            file.write(content)
            file.flush()
            # Some disks say that they are full only now.
            os.fsync(file.fileno())
        return unfinished.rename(path)
    except OSError:
        unfinished.unlink(missing_ok=True)
        raise
