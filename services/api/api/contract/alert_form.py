"""CORE: what a rider says about alerts in the form of the page, or a mail program by one click."""

from typing import Final
from urllib.parse import parse_qs

from msgspec import Struct

LEAST_BPM: Final = 20
MOST_BPM: Final = 250
LIMITS: Final = ("low", "high", "critical")
# More than any browser or mail program sends for it.
LARGEST_BODY: Final = 4_096


class Limits(Struct, frozen=True):
    """A rider's own limits in bpm; None is the rule's own."""

    low: int | None = None
    high: int | None = None
    critical: int | None = None


class Wishes(Struct, frozen=True):
    """What a rider wants now."""

    alerts_on: bool
    limits: Limits


class Choice(Struct, frozen=True):
    """What is to change: alerts on or off, or the own limits."""

    alerts_on: bool | None = None
    limits: Limits | None = None

    @property
    def told(self) -> str:
        """In two words, for the audit: without the limits, which are about a person's health."""
        if self.limits is not None:
            return "own limits"
        return "alerts on" if self.alerts_on else "alerts off"


class FormError(ValueError):
    """What was filled in cannot be meant; the message is for the rider."""


def parse_choice(body: bytes) -> Choice:
    """What was chosen. Raises `FormError`.

    `List-Unsubscribe=One-Click` is what a mail program sends (RFC 8058).
    """
    try:
        fields = parse_qs(body.decode("ascii"), keep_blank_values=True, max_num_fields=20)
    except ValueError:
        raise FormError("This form cannot be read.") from None
    if fields.get("List-Unsubscribe") == ["One-Click"]:
        return Choice(alerts_on=False)
    match fields.get("do"):
        case ["off"]:
            return Choice(alerts_on=False)
        case ["on"]:
            return Choice(alerts_on=True)
        case ["limits"]:
            return Choice(limits=_limits_of(fields))
    raise FormError("Please choose one of the buttons below.")


def _limits_of(fields: dict[str, list[str]]) -> Limits:
    given = {name: _bpm(name, fields.get(name, [""])[-1].strip()) for name in LIMITS}
    limits = Limits(**given)
    known = [limit for limit in (limits.low, limits.high, limits.critical) if limit is not None]
    is_low_apart = limits.low is None or limits.low not in known[1:]
    if known != sorted(known) or not is_low_apart:
        raise FormError("The low limit must be below the high one, and that not above critical.")
    return limits


def _bpm(name: str, text: str) -> int | None:
    if not text:
        return None
    is_number = text.isascii() and text.isdigit() and len(text) <= len(str(MOST_BPM))
    if not is_number or not LEAST_BPM <= int(text) <= MOST_BPM:
        raise FormError(
            f"The {name} limit must be a whole number from {LEAST_BPM} to {MOST_BPM}, or empty."
        )
    return int(text)
