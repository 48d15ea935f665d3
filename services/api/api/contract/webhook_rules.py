"""CORE: webhooks: where messages may go, how they are signed, and when they are sent again.

Messages are signed as Standard Webhooks 1.0 says (https://www.standardwebhooks.com): HMAC-SHA-256
over `<id>.<timestamp>.<body>`, in the headers `webhook-id`, `webhook-timestamp` (seconds) and
`webhook-signature`; while a secret is being changed both sign.
"""

import base64
import hashlib
import hmac
import ipaddress
import re
import secrets
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlsplit

import msgspec

SECRET_BYTES: Final = 32
SECRET_PREFIX: Final = "whsec_"  # noqa: S105  what each begins with
# Both secrets sign for so long after a change.
FORMER_SECRET_SIGNS: Final = timedelta(days=1)
LONGEST_URL: Final = 2_000
# A message is tried for so long; an endpoint that takes nothing for so long is dead.
GIVE_UP_AFTER: Final = timedelta(days=3)
# After the first try, the second, …; the last wait is that of all further tries.
WAITS_S: Final = (5, 30, 120, 600, 1_800, 3_600, 7_200, 14_400, 28_800)
# After so many failures in a row the endpoint is asked by one message at a time, now and then.
CAREFUL_FROM: Final = 3

_NAME: Final = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.?")
_PRINTED: Final = re.compile(r"[!-\[\]-~]+")  # printable ASCII, without a backslash

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# IPv4 behind a translator (RFC 6052).
_TRANSLATED: Final = ipaddress.IPv6Network("64:ff9b::/96")


def new_secret() -> bytes:
    """A secret that nobody has seen before."""
    return secrets.token_bytes(SECRET_BYTES)


def told_secret(secret: bytes) -> str:
    """A secret as its owner keeps it, and as libraries of Standard Webhooks take it."""
    return SECRET_PREFIX + base64.b64encode(secret).decode()


def message_id(webhook_id: int, change_id: int) -> str:
    """What names a message, however often it is sent: receivers drop repeats by it."""
    return f"msg_{webhook_id}_{change_id}"


def message(kind: str, at: datetime, change_id: int, about: dict[str, int | None]) -> bytes:
    """The body of a message: numbers alone; what they are like is asked for with a key."""
    data = {"change_id": change_id, **about}
    return msgspec.json.encode({"type": kind, "timestamp": at, "data": data})


def signed_headers(
    secrets_: Iterable[bytes], name: str, body: bytes, now: datetime
) -> dict[str, str]:
    """The headers by which a receiver knows that a message is ours, and of now."""
    timestamp = str(int(now.timestamp()))
    signed = f"{name}.{timestamp}.".encode() + body
    signatures = (hmac.digest(secret, signed, hashlib.sha256) for secret in secrets_)
    return {
        "webhook-id": name,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(f"v1,{base64.b64encode(s).decode()}" for s in signatures),
    }


def wait_s(tries: int) -> float:
    """For how long to wait after so many tries, give or take a fifth, so that not all come back."""
    longest = WAITS_S[min(tries, len(WAITS_S)) - 1]
    return longest * (0.8 + secrets.randbelow(401) / 1_000)


def careful_wait_s(failures: int) -> float:
    """For how long an endpoint is left alone after so many failures in a row; 0: not at all."""
    return 0.0 if failures < CAREFUL_FROM else wait_s(failures - CAREFUL_FROM + 1)


def is_public(address: Address) -> bool:
    """Whether an address is one of the internet's: not of this machine, network or cloud."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address in _TRANSLATED:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
        if inner is not None:
            return is_public(inner)
        if address.teredo is not None:
            return False
    return address.is_global and not address.is_multicast


def check_url(url: str, private_hosts: Collection[str] = ()) -> None:
    """Raise `ValueError` for an address that messages may not go to.

    What a name leads to is looked at when a message is sent. `private_hosts` may be anywhere, and
    be asked by plain HTTP.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ValueError("is not an address") from None
    # A host that is written in any other way may mean one thing to us and another to who connects.
    is_plain = host is not None and (_NAME.fullmatch(host) or _literal(host) is not None)
    if host is None or not is_plain or len(url) > LONGEST_URL or not _PRINTED.fullmatch(url):
        raise ValueError("must be like https://partner.example.com/deloton")
    if "@" in parts.netloc or parts.fragment:
        raise ValueError("must have no user and no fragment")
    if host in private_hosts:
        if parts.scheme not in {"http", "https"}:
            raise ValueError("must begin with https:// or http://")
        return
    if parts.scheme != "https":
        raise ValueError("must begin with https://")
    if host == "localhost" or host.endswith((".localhost", ".local", ".internal")):
        raise ValueError("must lead to a public address")
    address = _literal(host)
    if address is not None and not is_public(address):
        raise ValueError("must lead to a public address")


def _literal(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
