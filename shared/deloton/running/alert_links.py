"""CORE: links by which riders say what mails they want, signed so that nobody can make one up.

A link names the alert whose mail it stood in, and until when it opens anything; nothing in it is
about a person. Keys rotate: the first signs, every one of them opens. So a new key goes in front,
and the old one goes once the last of its links has expired, or at once where it has leaked.
"""

import base64
import binascii
import hashlib
import hmac
import struct
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

# Long enough for who reads the mail after a holiday.
LASTS: Final = timedelta(days=60)

# What is signed says what for: a signature of ours for something else opens nothing here.
_PURPOSE: Final = b"deloton: which alerts a rider wants\x00"
_FACTS: Final = struct.Struct(">qI")
# 128 bits: nobody guesses them (NIST SP 800-107, truncated message authentication codes).
_SIGNATURE_BYTES: Final = 16


class AlertLinks:
    """Makes links and opens them."""

    def __init__(self, keys: Sequence[str], base_url: str = "") -> None:
        """Sign by the first key; links begin with `base_url`, where the API is for riders."""
        self._keys = [key.encode() for key in keys]
        self._base_url = base_url.rstrip("/")

    def link_to(self, alert_id: int, now: datetime) -> str:
        """The address of the page that the mail about an alert leads to."""
        return f"{self._base_url}/alerts/{self.token_of(alert_id, now)}"

    def token_of(self, alert_id: int, now: datetime) -> str:
        """What the address ends in; it opens for `LASTS`."""
        facts = _FACTS.pack(alert_id, int((now + LASTS).timestamp()))
        return base64.urlsafe_b64encode(facts + _sign(self._keys[0], facts)).decode().rstrip("=")

    def alert_of(self, token: str, now: datetime) -> int | None:
        """The alert of a token; None where nobody of ours made it, or it has expired."""
        try:
            signed = base64.b64decode(token + "=" * (-len(token) % 4), b"-_", validate=True)
        except (binascii.Error, ValueError):
            return None
        if len(signed) != _FACTS.size + _SIGNATURE_BYTES:
            return None
        facts, signature = signed[: _FACTS.size], signed[_FACTS.size :]
        if not any(hmac.compare_digest(_sign(key, facts), signature) for key in self._keys):
            return None
        alert_id, until_s = _FACTS.unpack(facts)
        return int(alert_id) if now < datetime.fromtimestamp(until_s, UTC) else None


def _sign(key: bytes, facts: bytes) -> bytes:
    return hmac.digest(key, _PURPOSE + facts, hashlib.sha256)[:_SIGNATURE_BYTES]
