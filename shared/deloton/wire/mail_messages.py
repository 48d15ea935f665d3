"""CORE: a message as it goes over the wire, and whom it goes to."""

from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import make_msgid
from typing import Final

from deloton.errors import MailRefused

# What every mail server takes, also one that is old.
_SEVEN_BITS: Final = SMTP.clone(cte_type="7bit")


def sender_of(message: EmailMessage) -> str:
    """The address that a message comes from. Raises `MailRefused` where it names none."""
    senders = _addresses(message, "From")
    if not senders:
        raise MailRefused("the message names no sender")
    return senders[0].addr_spec


def on_the_wire(message: EmailMessage) -> tuple[bytes, list[str]]:
    """A message's bytes, and every address that it goes to; gives it a `Message-ID`.

    Raises `MailRefused` for what cannot be sent to anybody.
    """
    if "Message-ID" not in message:
        message["Message-ID"] = make_msgid(domain=sender_of(message).rpartition("@")[2])
    recipients = [address.addr_spec for address in _addresses(message, "To", "Cc", "Bcc")]
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


def _addresses(message: EmailMessage, *names: str) -> list[Address]:
    headers = [header for name in names for header in message.get_all(name, [])]
    return [address for header in headers for address in header.addresses if address.domain]
