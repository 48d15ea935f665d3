"""CORE: what Amazon SES tells of mails that it had accepted: one came back, somebody complained.

Its documents come as event publishing writes them, plain or as a notification of SNS.
https://docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-contents.html
"""

from datetime import datetime, timedelta
from typing import Annotated, Final

import msgspec
from msgspec import Struct

from hr_alerter.alerts import AlertState

# Of the kinds of bounce this one is final; SES has tried the others for hours, and will again.
FOR_GOOD: Final = "Permanent"
# A mail that was accepted is stored within milliseconds, or once the database is back.
EARLY: Final = timedelta(minutes=5)
# Words of a complaint (RFC 5965, RFC 6591) that are none: its reader took the mail out of the spam,
# a server could not make sure that it was ours.
NO_COMPLAINT: Final = frozenset({"not-spam", "auth-failure"})

# PostgreSQL keeps no NUL, so nothing of ours has one; a moment without a zone is none.
_Text = Annotated[str, msgspec.Meta(pattern=r"\A[^\x00]*\Z")]
_Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class Feedback(Struct, frozen=True):
    """One mail's end after it was sent: `BOUNCED` or `COMPLAINED`, and of which we mailed.

    `addresses` are as we wrote them, wherever the mail was forwarded to from there.

    `message_id` is what SES called the mail when it accepted it, at `sent_at`.
    """

    state: AlertState
    message_id: str
    addresses: tuple[str, ...]
    sent_at: datetime | None = None

    def may_be_early(self, now: datetime) -> bool:
        """Whether that the mail was sent may still have to be stored.

        SES tells of mails of others, too, whose rows are nowhere.
        """
        return self.sent_at is not None and now - self.sent_at < EARLY


class _Recipient(Struct, rename="camel"):
    email_address: _Text


class _Mail(Struct, rename="camel"):
    message_id: _Text
    timestamp: _Moment | None = None
    destination: list[_Text] = []


class _Bounce(Struct, rename="camel"):
    bounce_type: str
    bounced_recipients: list[_Recipient] = []


class _Complaint(Struct, rename="camel"):
    complained_recipients: list[_Recipient] = []
    complaint_feedback_type: str | None = None


class _Event(Struct, rename="camel"):
    event_type: str
    mail: _Mail
    bounce: _Bounce | None = None
    complaint: _Complaint | None = None


class _Notification(Struct, rename="pascal"):
    message: str = ""


_event_of = msgspec.json.Decoder(_Event).decode
_notification_of = msgspec.json.Decoder(_Notification).decode


def parse_feedback(text: str) -> Feedback | None:
    """What a document tells; None for what changes nothing, as a delivery or a full mailbox.

    Raises `msgspec.DecodeError` for what is no such document.
    """
    try:
        event = _event_of(_notification_of(text).message or text)
    except RecursionError as error:
        raise msgspec.DecodeError("nested too deep") from error
    if event.bounce and event.bounce.bounce_type == FOR_GOOD:
        return _of(event, AlertState.BOUNCED, event.bounce.bounced_recipients)
    if event.complaint and event.complaint.complaint_feedback_type not in NO_COMPLAINT:
        return _of(event, AlertState.COMPLAINED, event.complaint.complained_recipients)
    return None


def _of(event: _Event, state: AlertState, recipients: list[_Recipient]) -> Feedback:
    named = [one.email_address for one in recipients]
    addresses = tuple(_mailed(event.mail.destination, named))
    return Feedback(state, event.mail.message_id, addresses, event.mail.timestamp)


def _mailed(mailed: list[str], named: list[str]) -> list[str]:
    """Those of the addresses we mailed that are meant by the ones a mail server names.

    It names another where the mail was forwarded: then the one we mailed is meant, and of several
    nobody knows which. Who else has the named address has taken every mail.
    """
    if not mailed:
        return named
    known = {address.lower() for address in named}
    meant = [address for address in mailed if address.lower() in known]
    return meant or (mailed if len(mailed) == 1 else [])
