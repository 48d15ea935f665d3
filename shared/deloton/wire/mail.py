"""EDGE: the ways out for mail, behind one `Mailer`: Amazon SES, an SMTP server, a folder of files.

A message is a plain `email.message.EmailMessage` with `From`, `To` and `Subject`. Whatever a
provider does, `send` ends in one of five ways: the message was accepted, or a `MailError` says that
it may pass later (`MailThrottled`, `MailUnavailable`), never will (`MailRefused`), or that nobody
knows whether it was accepted (`MailUnknown`). A mailer sends once and never retries: who calls it
knows how long a mail is worth waiting for, and what a repeated one is worth.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.message import EmailMessage
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import unquote

from deloton.running.mail_url import check_mail_url

# How many mails are on their way at once. SES answers in some 50 ms: ten carry 200 a second.
CONNECTIONS: Final = 10
# A provider that has not answered by then may have accepted the mail: longer than any that works.
ANSWER_WITHIN_S: Final = 30.0


class Mailer(Protocol):
    """A way out for mail. Any number of messages may be under way at once."""

    async def send(self, message: EmailMessage) -> str:
        """Hand a message to the provider; return the provider's id of it once it is accepted.

        Raises a `MailError`, and nothing else.
        """


@asynccontextmanager
async def open_mailer(
    url: str,
    *,
    aws_endpoint_url: str | None = None,
    connections: int = CONNECTIONS,
    answer_within_s: float = ANSWER_WITHIN_S,
) -> AsyncIterator[Mailer]:
    """The way out that `url` names; closed when the block ends.

    `ses://eu-west-2` (credentials as boto3 finds them; `aws_endpoint_url` in place of AWS),
    `smtp://host:25` (STARTTLS where the server offers it), `smtp://user:password@host:587`
    (nothing without STARTTLS, unless `?tls=optional` says otherwise), `smtps://…` (TLS from the
    first byte), `file:///folder` (a file a mail). Raises `ValueError` for any other.
    """
    # Here, so that who sends by one way need not have the libraries of the others in memory.
    parts = check_mail_url(url)
    if parts.scheme == "file":
        from deloton.wire.mail_files import FileMailer  # noqa: PLC0415

        yield FileMailer(Path(unquote(parts.path)))
    elif parts.scheme == "ses":
        from deloton.wire.ses import SesMailer  # noqa: PLC0415

        ses = SesMailer(str(parts.hostname), aws_endpoint_url, connections, answer_within_s)
        try:
            yield ses
        finally:
            ses.close()
    else:
        from deloton.wire.smtp import SmtpMailer  # noqa: PLC0415

        yield SmtpMailer(parts, connections, answer_within_s)
