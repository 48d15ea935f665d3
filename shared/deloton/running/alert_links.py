"""CORE: links by which riders say what mails they want, signed so that nobody can make one up.

A link names the alert whose mail it stood in, and until when it opens anything; nothing in it is
about a person. What is signed names the address that the mail went to, too: once the rider has
another one, the link opens nothing. A seal before the signature tells made-up links from ours
without the address, so that they cost no query.

Keys rotate: the first signs, every one of them opens. So a new key goes in front, and the old one
goes once the last of its links has expired, or at once where it has leaked.
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
_SEALING: Final = b"deloton: a link that we made\x00"
_SIGNING: Final = b"deloton: which alerts the rider at this address wants\x00"
_FACTS: Final = struct.Struct(">qI")
_SEAL_BYTES: Final = 4
# 96 bits: nobody guesses them (NIST SP 800-107, truncated message authentication codes).
_SIGNATURE_BYTES: Final = 12


class AlertLinks:
    """Makes links and opens them."""

    def __init__(self, keys: Sequence[str], base_url: str = "") -> None:
        """Sign by the first key; links begin with `base_url`, where the API is for riders."""
        self._keys = [key.encode() for key in keys]
        self._base_url = base_url.rstrip("/")

    def link_to(self, alert_id: int, email: str, now: datetime) -> str:
        """The address of the page that the mail about an alert, to `email`, leads to."""
        return f"{self._base_url}/alerts/{self.token_of(alert_id, email, now)}"

    def token_of(self, alert_id: int, email: str, now: datetime) -> str:
        """What the address ends in; it opens for `LASTS`, as long as `email` is the rider's."""
        facts = _FACTS.pack(alert_id, int((now + LASTS).timestamp()))
        key = self._keys[0]
        signed = facts + _seal(key, facts) + _sign(key, facts, email)
        return base64.urlsafe_b64encode(signed).decode().rstrip("=")

    def alert_of(self, token: str, now: datetime) -> int | None:
        """The alert that a token names; None where it is none of ours, or has expired.

        Whether it opens that alert, `opens` tells.
        """
        facts, seal, _ = _parts_of(token)
        if not any(hmac.compare_digest(_seal(key, facts), seal) for key in self._keys):
            return None
        alert_id, until_s = _FACTS.unpack(facts)
        return int(alert_id) if now < datetime.fromtimestamp(until_s, UTC) else None

    def opens(self, token: str, email: str) -> bool:
        """Whether the mail that the token stood in went to this address, in whatever case."""
        facts, _, signature = _parts_of(token)
        return any(hmac.compare_digest(_sign(key, facts, email), signature) for key in self._keys)


def _parts_of(token: str) -> tuple[bytes, bytes, bytes]:
    """Facts, seal and signature; all empty where it is no token."""
    try:
        signed = base64.b64decode(token + "=" * (-len(token) % 4), b"-_", validate=True)
    except (binascii.Error, ValueError):
        signed = b""
    if len(signed) != _FACTS.size + _SEAL_BYTES + _SIGNATURE_BYTES:
        signed = b""
    rest = signed[_FACTS.size :]
    return signed[: _FACTS.size], rest[:_SEAL_BYTES], rest[_SEAL_BYTES:]


def _seal(key: bytes, facts: bytes) -> bytes:
    return hmac.digest(key, _SEALING + facts, hashlib.sha256)[:_SEAL_BYTES]


def _sign(key: bytes, facts: bytes, email: str) -> bytes:
    # No address that PostgreSQL keeps fails to encode.
    signed = _SIGNING + facts + email.lower().encode()
    return hmac.digest(key, signed, hashlib.sha256)[:_SIGNATURE_BYTES]
