"""CORE: an alert on its way to its rider, and what may become of it."""

from datetime import datetime
from enum import StrEnum

from msgspec import Struct

from deloton.rules.heart_rate import AlertLevel


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


class Claim(Struct, frozen=True):
    """An alert in our hands; `fence` tells this claim from those before and after it.

    `seen_at` is when the danger was last measured.
    """

    alert_id: int
    fence: int
    level: AlertLevel
    seen_at: datetime


class BegunAlert(Struct, frozen=True):
    """What the mail about an alert says, as it was when the try began.

    `measured_at` is the reading that made it an alert, `seen_at` and `heart_rate_bpm` the newest
    one of the same danger. `is_wanted`: the rider has not switched alerts off. `is_refused`: mail
    to this address came back for good, or its owner complained of some.
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
