"""EDGE: the mails of the demo: a folder of `.eml` files, newest first, and what each holds."""

import email
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import default
from functools import lru_cache
from pathlib import Path

from deloton.wire.mail_files import write_whole
from demo.company_time import company_time

# Files are named by when they came, so that their names sort as they came.
_NAME = "%Y%m%dT%H%M%S%f"
_SUFFIX = ".eml"
_REMEMBERED = 2_000


@dataclass(frozen=True)
class Part:
    """A part of a mail that is a file: an attachment, or a picture of the HTML part."""

    number: int
    name: str
    content_type: str
    content: bytes
    content_id: str | None
    is_attachment: bool


@dataclass(frozen=True)
class Mail:
    """One mail as a page shows it; `mail_id` is its file's name without the ending."""

    mail_id: str
    # As the company's clocks show it.
    received_at: datetime
    sender: str
    recipients: str
    subject: str
    text: str | None
    html: str | None
    headers: Sequence[tuple[str, str]]
    parts: Sequence[Part]
    size: int

    @property
    def attachments(self) -> list[Part]:
        """The files a person may want."""
        return [part for part in self.parts if part.is_attachment]


class MailFolder:
    """Keeps each mail as a file, which any mail program opens."""

    def __init__(self, folder: Path) -> None:
        """Describe the folder; it is made when the first mail comes."""
        self.folder = folder
        self._read = lru_cache(maxsize=_REMEMBERED)(read_mail)

    def keep(self, raw: bytes, sender: str | None, recipients: Sequence[str]) -> Path:
        """Write a mail, with its envelope in the headers mail servers use for that."""
        self.folder.mkdir(parents=True, exist_ok=True)
        name = f"{datetime.now(UTC):{_NAME}}-{secrets.token_hex(3)}{_SUFFIX}"
        envelope = f"Return-Path: <{sender or ''}>\r\n"
        envelope += "".join(f"Delivered-To: {recipient}\r\n" for recipient in recipients)
        return write_whole(self.folder / name, envelope.encode() + raw)

    def count(self) -> int:
        """How many mails there are."""
        return len(self._names())

    def newest(self, most: int) -> list[Mail]:
        """The newest mails, the very newest first."""
        return [self._read(self.folder / name) for name in self._names()[:most]]

    def find(self, mail_id: str) -> Mail | None:
        """The mail of that id, or None."""
        name = f"{mail_id}{_SUFFIX}"
        return self._read(self.folder / name) if name in self._names() else None

    def path_of(self, mail: Mail) -> Path:
        """The mail's file."""
        return self.folder / f"{mail.mail_id}{_SUFFIX}"

    def _names(self) -> list[str]:
        return sorted((path.name for path in self.folder.glob(f"2*{_SUFFIX}")), reverse=True)


def read_mail(path: Path) -> Mail:
    """Read a mail from its file."""
    raw = path.read_bytes()
    message = email.message_from_bytes(raw, policy=default)
    assert isinstance(message, EmailMessage)  # noqa: S101  what the default policy makes
    received_at = datetime.strptime(path.name.partition("-")[0], _NAME).replace(tzinfo=UTC)
    return Mail(
        mail_id=path.stem,
        received_at=company_time(received_at),
        sender=str(message.get("From", "")),
        recipients=str(message.get("To") or ", ".join(message.get_all("Delivered-To", []))),
        subject=str(message.get("Subject", "")) or "(no subject)",
        text=_text_of(message, "plain"),
        html=_text_of(message, "html"),
        headers=[(name, str(value)) for name, value in message.items()],
        parts=list(_files_of(message)),
        size=len(raw),
    )


def _text_of(message: EmailMessage, kind: str) -> str | None:
    body = message.get_body((kind,))
    if body is None:
        return None
    try:
        text: str = body.get_content()
    except (LookupError, ValueError):
        # A charset that nobody knows, or a part that is none of what it says it is.
        content = body.get_payload(decode=True)
        text = content.decode(errors="replace") if isinstance(content, bytes) else ""
    return text.replace("\r\n", "\n")


def _files_of(message: EmailMessage) -> Iterator[Part]:
    bodies = [message.get_body((kind,)) for kind in ("plain", "html")]
    leaves = (part for part in message.walk() if not part.is_multipart())
    for number, part in enumerate(part for part in leaves if part not in bodies):
        content = part.get_payload(decode=True)
        content_id = part.get("Content-ID")
        yield Part(
            number=number,
            name=part.get_filename() or f"part-{number}",
            content_type=part.get_content_type(),
            content=content if isinstance(content, bytes) else b"",
            content_id=str(content_id).strip("<> ") if content_id else None,
            is_attachment=part.get_content_disposition() != "inline" or content_id is None,
        )
