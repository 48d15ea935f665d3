"""CORE: an alert on its way to its rider, and what may become of it."""

from datetime import datetime
from enum import StrEnum

from msgspec import Struct

from deloton.rules.heart_rate import AlertLevel
from deloton.rules.whose import Whose


class AlertState(StrEnum):
    """What became of an alert: `PENDING`, or `SENDING` while an alerter has it in hand.

    `EXPIRED`: no provider took it as long as it was of use. `UNDELIVERABLE`: no address to send
    it to, or the rider wants no mails. `FAILED`: the provider refused it for good. `UNKNOWN`: it
    was handed over and the answer lost, so the rider may have been told. `BOUNCED`: the rider's
    mail server took it not, for good, which may be known only after it was sent. `COMPLAINED`: the
    rider called it spam.
    """

    PENDING = "pending"
    SENDING = "sending"
    SENT = "sent"
    EXPIRED = "expired"
    UNDELIVERABLE = "undeliverable"
    FAILED = "failed"
    UNKNOWN = "unknown"
    BOUNCED = "bounced"
    COMPLAINED = "complained"


class MailKind(StrEnum):
    """What a mail says: a danger, or that the one before is over. Each has a row of its own."""

    ALERT = "alert"
    RECOVERY = "recovery"


class MailId(Struct, frozen=True):
    """Which mail: one of an alert's two."""

    kind: MailKind
    alert_id: int


class Claim(Struct, frozen=True):
    """A mail in our hands; `fence` tells this claim from those before and after it.

    `seen_at` is when the danger, or its end, was last measured.
    """

    alert_id: int
    fence: int
    level: AlertLevel
    seen_at: datetime
    kind: MailKind = MailKind.ALERT

    @property
    def mail(self) -> MailId:
        """Which mail it is."""
        return MailId(self.kind, self.alert_id)


class BegunAlert(Struct, frozen=True):
    """What the mail about an alert, or about its end, says, as it was when the try began.

    `measured_at` is the reading that made it one, `seen_at` and `heart_rate_bpm` the newest one of
    the same danger. `is_wanted`: the rider has not switched alerts off, and was told of the danger.
    `is_refused`: mail to this address came back for good, or its owner complained of some.
    `is_riding`: the ride goes on. `whose`: whether it is a real rider's.
    """

    alert_id: int
    ride_id: int
    level: AlertLevel
    measured_at: datetime
    seen_at: datetime
    heart_rate_bpm: int
    limit_bpm: float
    limit_rule: str
    first_name: str | None
    email: str | None
    is_wanted: bool = True
    is_refused: bool = False
    is_riding: bool = True
    kind: MailKind = MailKind.ALERT
    whose: Whose = Whose.RIDER
