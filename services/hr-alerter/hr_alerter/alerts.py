"""CORE: an alert on its way to its rider, and what may become of it."""

from datetime import datetime
from enum import StrEnum

from msgspec import Struct

from deloton.heart_rate import AlertLevel


class AlertState(StrEnum):
    """What became of an alert: `PENDING` until it is one of the others.

    `EXPIRED`: too old before it was ever tried. `UNDELIVERABLE`: no address to send it to.
    `FAILED`: the provider refused it for good, or did not accept it as long as it was of use.
    """

    PENDING = "pending"
    SENT = "sent"
    EXPIRED = "expired"
    UNDELIVERABLE = "undeliverable"
    FAILED = "failed"


class ClaimedAlert(Struct, frozen=True):
    """A pending alert that is ours to send, with what its mail needs."""

    alert_id: int
    level: AlertLevel
    measured_at: datetime
    heart_rate_bpm: int
    limit_bpm: float
    limit_rule: str
    first_name: str | None
    email: str | None
