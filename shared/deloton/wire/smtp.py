"""EDGE: mail by SMTP, and what each answer means at the step that it comes in."""

import asyncio
import re
import ssl
from email.message import EmailMessage
from typing import Any, Final
from urllib.parse import SplitResult, unquote

import aiosmtplib

from deloton.errors import (
    AddressRefused,
    MailError,
    MailRefused,
    MailThrottled,
    MailUnavailable,
    MailUnknown,
)
from deloton.running.logs import get_logger
from deloton.wire.mail_messages import on_the_wire, sender_of

_log = get_logger(__name__)

_LATER: Final = range(400, 500)
_NEVER: Final = range(500, 600)
_TOO_MANY: Final = frozenset({421, 452})
# The server wants a login that we have not, or that it does not know.
_LOGIN: Final = frozenset({530, 534, 535, 538})
_NO_MAILBOX: Final = frozenset({550, 553})
_ENHANCED: Final = re.compile(r"\s*(\d\.\d{1,3}\.\d{1,3})\b")
# Bad mailbox, bad system, bad syntax, moved without a new address, null MX: not 5.1.7 and 5.1.8,
# which are about the sender. RFC 3463, RFC 7505.
_NO_ADDRESS: Final = frozenset({"5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10"})
# About us and not about one recipient or message, in the words of SES and of common servers.
_OF_THE_ACCOUNT: Final = ("not verified", "relay", "authenticat", "suspended", "quota")


class SmtpMailer:
    """Sends by SMTP, a connection a mail."""

    def __init__(self, url: SplitResult, connections: int, answer_within_s: float) -> None:
        """Describe the way out; each mail connects anew."""
        tls = url.scheme == "smtps"
        # None: where the server offers it. A password never goes in clear unless we were told so.
        needs_tls = True if url.username and url.query != "tls=optional" else None
        self._answer_within_s = answer_within_s
        self._turns = asyncio.Semaphore(connections)
        self._options: dict[str, Any] = {
            "hostname": url.hostname,
            "port": url.port or (465 if tls else 25),
            "username": unquote(url.username) if url.username else None,
            "password": unquote(url.password) if url.password else None,
            "use_tls": tls,
            "start_tls": False if tls else needs_tls,
            "timeout": answer_within_s,
        }
        if tls:
            self._options["tls_context"] = ssl.create_default_context()

    async def send(self, message: EmailMessage) -> str:
        """Hand a message to the server; return its `Message-ID`, which goes with it."""
        raw, recipients = on_the_wire(message)
        async with self._turns:
            await _Delivery(self._options).carry(
                sender_of(message), recipients, raw, self._answer_within_s
            )
        return str(message["Message-ID"])


class _Delivery:
    """One mail's conversation with the server, and how far it has come."""

    def __init__(self, options: dict[str, Any]) -> None:
        self._client = aiosmtplib.SMTP(**options)
        # Who has not been given the text cannot have accepted it.
        self._handed_over = False

    async def carry(
        self, sender: str, recipients: list[str], raw: bytes, answer_within_s: float
    ) -> None:
        try:
            async with asyncio.timeout(answer_within_s):
                await self._converse(sender, recipients, raw)
        except MailError:
            raise
        except Exception as error:
            raise self._meaning_of(error) from error
        finally:
            self._client.close()

    async def _converse(self, sender: str, recipients: list[str], raw: bytes) -> None:
        try:
            await self._client.connect()
            await self._client.mail(sender)
        except aiosmtplib.SMTPResponseException as error:
            # A greeting, a login or a sender that is refused is so for every mail.
            raise _of_all(error) from error
        for recipient in recipients:
            try:
                await self._client.rcpt(recipient)
            except aiosmtplib.SMTPResponseException as error:
                if _is_no_mailbox(error):
                    raise AddressRefused(f"SMTP {error.code}") from error
                raise
        self._handed_over = True
        await self._client.data(raw)

    def _meaning_of(self, error: Exception) -> MailError:
        if isinstance(error, aiosmtplib.SMTPResponseException) and error.code in (*_LATER, *_NEVER):
            return _of_one(error)
        kind = type(error).__name__
        if not isinstance(error, aiosmtplib.SMTPException | OSError | TimeoutError):
            _log.warning("the mail server gave an answer that nobody foresaw", error=kind)
        return MailUnknown(kind) if self._handed_over else MailUnavailable(kind)


def _is_no_mailbox(error: aiosmtplib.SMTPResponseException) -> bool:
    """Whether a server says of a recipient that there is none, and not that it dislikes us.

    RFC 3463: 5.1.x is about the address, all else of class 5 about something else. Without such a
    number 550 and 553 are taken at their word (RFC 5321: mailbox unavailable, name not allowed).
    """
    numbered = _ENHANCED.match(str(error.message))
    if numbered:
        return error.code in _NEVER and numbered[1] in _NO_ADDRESS
    return error.code in _NO_MAILBOX and isinstance(_of_one(error), MailRefused)


def _of_all(error: aiosmtplib.SMTPResponseException) -> MailError:
    """What an answer means that every mail would get."""
    told = f"SMTP {error.code}"
    return MailThrottled(told) if error.code in _TOO_MANY else MailUnavailable(told)


def _of_one(error: aiosmtplib.SMTPResponseException) -> MailError:
    """What an answer to one recipient or one text means."""
    is_never = error.code in _NEVER and error.code not in _LOGIN
    why = str(error.message).lower()
    if is_never and not any(words in why for words in _OF_THE_ACCOUNT):
        return MailRefused(f"SMTP {error.code}")
    return _of_all(error)
