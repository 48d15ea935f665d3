"""EDGE: the ways out for mail, behind one `Mailer`: Amazon SES, an SMTP server, a folder of files.

A message is a plain `email.message.EmailMessage` with `From`, `To` and `Subject`. Each way tells
its troubles in the same three words: `MailThrottled` and `MailUnavailable` pass by themselves,
`MailRefused` does not. A mailer sends once and never retries: who calls it knows how long a mail
is worth waiting for.
"""

import asyncio
import os
import ssl
import uuid
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import getaddresses, make_msgid
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import SplitResult, unquote, urlsplit

import aiosmtplib
import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

from deloton.errors import MailError, MailRefused, MailThrottled, MailUnavailable

# How many mails are on their way at once. SES answers in some 50 ms: ten carry 200 a second.
CONNECTIONS: Final = 10
CONNECT_TIMEOUT_S: Final = 5.0
# A mail that was accepted while the answer was lost is sent twice: rather wait for the answer.
ANSWER_TIMEOUT_S: Final = 15.0

# What SES says of us as a whole when we are too fast, or have used up the day's quota.
_SES_THROTTLES: Final = frozenset(
    {"TooManyRequestsException", "ThrottlingException", "Throttling", "LimitExceededException"}
)
# What SES says of one message or address. All else is about the account, the credentials or
# SES itself: somebody mends it, and the same message is then accepted.
_SES_REFUSALS: Final = frozenset(
    {"BadRequestException", "MessageRejected", "MessageRejectedException"}
)

# What every mail server takes, also one that is old.
_SEVEN_BITS: Final = SMTP.clone(cte_type="7bit")
_SMTP_TRANSIENT: Final = range(400, 500)
_SMTP_TOO_MANY: Final = frozenset({421, 452})
# The server wants a login that we have not, or that it does not know.
_SMTP_LOGIN: Final = frozenset({530, 534, 535, 538})


class Mailer(Protocol):
    """A way out for mail. Any number of messages may be under way at once."""

    async def send(self, message: EmailMessage) -> str:
        """Hand a message to the provider; return the provider's id of it once it is accepted.

        Raises `MailThrottled`, `MailUnavailable` (the same message may pass later) or
        `MailRefused` (it never will).
        """


def parse_address(text: str | None, display_name: str = "") -> Address | None:
    """A mail address as written by people, or None where no mail can go there.

    Only ASCII: SES takes no other local parts, and domains in their ASCII spelling alone.
    """
    if not text or not text.isascii() or text != text.strip():
        return None
    try:
        address = Address(display_name, addr_spec=text)
    except (MessageError, ValueError, IndexError):
        return None
    has_host = "." in address.domain.strip(".") or address.domain == "localhost"
    return address if address.username and has_host else None


@asynccontextmanager
async def open_mailer(
    url: str, *, aws_endpoint_url: str | None = None, connections: int = CONNECTIONS
) -> AsyncIterator[Mailer]:
    """The way out that `url` names; closed when the block ends.

    `ses://eu-west-2` (credentials as boto3 finds them; `aws_endpoint_url` in place of AWS),
    `smtp://user:password@host:25` (STARTTLS where the server offers it), `smtps://…` (TLS from
    the first byte), `file:///folder` (a file a mail). Raises `ValueError` for any other.
    """
    parts = urlsplit(url)
    match parts.scheme:
        case "ses" if parts.hostname:
            ses = SesMailer(parts.hostname, aws_endpoint_url, connections)
            try:
                yield ses
            finally:
                ses.close()
        case "smtp" | "smtps" if parts.hostname:
            yield SmtpMailer(parts, connections)
        case "file" if parts.path and not parts.netloc:
            yield FileMailer(Path(unquote(parts.path)))
        case _:
            # The address may hold a password: it is not repeated here.
            raise ValueError("a mail URL is ses://<region>, smtp://<host> or file:///<folder>")


class SesMailer:
    """Sends raw messages by the SES v2 API; boto3 blocks, so it works in threads of its own."""

    def __init__(self, region: str, endpoint_url: str | None, connections: int) -> None:
        """Describe the way out; connections are made when first used."""
        self._threads = ThreadPoolExecutor(connections, thread_name_prefix="ses")
        self._client: Any = boto3.session.Session().client(
            "sesv2",
            region_name=region,
            endpoint_url=endpoint_url,
            config=Config(
                connect_timeout=CONNECT_TIMEOUT_S,
                read_timeout=ANSWER_TIMEOUT_S,
                max_pool_connections=connections,
                # Retries are the caller's.
                retries={"total_max_attempts": 1},
                tcp_keepalive=True,
            ),
        )

    async def send(self, message: EmailMessage) -> str:
        """Hand a message to SES; return its `MessageId`."""
        raw, recipients = _on_the_wire(message)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._send, raw, recipients)

    def close(self) -> None:
        """Let go of the connections; what is under way comes to its end in its thread."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._client.close()

    def _send(self, raw: bytes, recipients: list[str]) -> str:
        try:
            answer = self._client.send_email(
                Destination={"ToAddresses": recipients}, Content={"Raw": {"Data": raw}}
            )
        except ClientError as error:
            raise _ses_error(error) from error
        except ParamValidationError as error:
            raise MailRefused(str(error)) from error
        except BotoCoreError as error:
            raise MailUnavailable(type(error).__name__) from error
        return str(answer["MessageId"])


class SmtpMailer:
    """Sends by SMTP, a connection a mail."""

    def __init__(self, url: SplitResult, connections: int) -> None:
        """Describe the way out; each mail connects anew."""
        tls = url.scheme == "smtps"
        self._turns = asyncio.Semaphore(connections)
        self._options: dict[str, Any] = {
            "hostname": url.hostname,
            "port": url.port or (465 if tls else 25),
            "username": unquote(url.username) if url.username else None,
            "password": unquote(url.password) if url.password else None,
            "use_tls": tls,
            "timeout": ANSWER_TIMEOUT_S,
        }
        if tls:
            self._options["tls_context"] = ssl.create_default_context()

    async def send(self, message: EmailMessage) -> str:
        """Hand a message to the server; return its `Message-ID`, which goes with it."""
        raw, recipients = _on_the_wire(message)
        async with self._turns:
            try:
                await aiosmtplib.send(
                    raw,
                    sender=_addresses(message, "From")[0],
                    recipients=recipients,
                    **self._options,
                )
            except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
                raise _smtp_error(error) from error
        return str(message["Message-ID"])


class FileMailer:
    """Writes each mail to a file of its own, which any mail program opens."""

    def __init__(self, folder: Path) -> None:
        """Describe the folder; it is made when the first mail comes."""
        self._folder = folder

    async def send(self, message: EmailMessage) -> str:
        """Write a message; return the file's name."""
        raw, _ = _on_the_wire(message)
        return await asyncio.to_thread(self._write, raw)

    def _write(self, raw: bytes) -> str:
        name = f"{uuid.uuid4()}.eml"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            # Under its own name only once it is whole.
            unfinished = self._folder / f".{name}"
            unfinished.write_bytes(raw)
            unfinished.rename(self._folder / name)
        except OSError as error:
            raise MailUnavailable(os.strerror(error.errno or 0)) from error
        return name


def _on_the_wire(message: EmailMessage) -> tuple[bytes, list[str]]:
    """A message's bytes, and every address that it goes to."""
    if "Message-ID" not in message:
        domain = _addresses(message, "From")[0].rpartition("@")[2]
        message["Message-ID"] = make_msgid(domain=domain)
    recipients = _addresses(message, "To", "Cc", "Bcc")
    if not recipients:
        raise MailRefused("the message names no recipient")
    hidden = message.get_all("Bcc", [])
    del message["Bcc"]
    try:
        raw = message.as_bytes(policy=_SEVEN_BITS)
    except (MessageError, UnicodeError, ValueError) as error:
        raise MailRefused(f"the message cannot be written: {type(error).__name__}") from error
    finally:
        for each in hidden:
            message["Bcc"] = each
    return raw, recipients


def _addresses(message: EmailMessage, *names: str) -> list[str]:
    headers = [str(header) for name in names for header in message.get_all(name, [])]
    found = [address for _, address in getaddresses(headers) if address]
    if not found and names == ("From",):
        raise MailRefused("the message names no sender")
    return found


def _ses_error(error: ClientError) -> MailError:
    code = str(error.response.get("Error", {}).get("Code", "unknown"))
    if code in _SES_THROTTLES:
        return MailThrottled(code)
    return MailRefused(code) if code in _SES_REFUSALS else MailUnavailable(code)


def _smtp_error(error: Exception) -> MailError:
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        return _smtp_error(error.recipients[0])
    if isinstance(error, aiosmtplib.SMTPResponseException):
        if error.code in _SMTP_TOO_MANY:
            return MailThrottled(f"SMTP {error.code}")
        if error.code in _SMTP_TRANSIENT or error.code in _SMTP_LOGIN or error.code < 0:
            return MailUnavailable(f"SMTP {error.code}")
        return MailRefused(f"SMTP {error.code}")
    return MailUnavailable(type(error).__name__)
