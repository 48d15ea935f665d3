"""CORE: API keys: how one is made, read and checked.

A key is `deloton_<key id>_<secret>`: the public id finds its row, the secret is 256 random bits.
What is stored is the secret's SHA-256. A slow hash with salt protects passwords, which people
choose and can be guessed one by one; nobody can try 2^256 secrets, so a fast hash gives nothing
away and costs each request a microsecond instead of a tenth of a second.
"""

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from enum import StrEnum

DEFAULT_REQUESTS_PER_MINUTE = 600

_KEY = re.compile(r"deloton_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
_HASHED = re.compile(r"([0-9a-f]{12}):([0-9a-f]{64})")


class Scope(StrEnum):
    """What a key may do."""

    READ = "read"
    PERSONAL = "personal"
    ERASE = "erase"
    WEBHOOKS = "webhooks"


@dataclass(frozen=True)
class Credential:
    """A key's two parts; the secret is kept out of the `repr`."""

    key_id: str
    secret: str

    def __repr__(self) -> str:
        return f"Credential({self.key_id!r})"

    @property
    def key(self) -> str:
        """The key as its owner sends it."""
        return f"deloton_{self.key_id}_{self.secret}"

    @property
    def secret_hash(self) -> bytes:
        """What is stored of the secret."""
        return hashlib.sha256(self.secret.encode()).digest()

    @property
    def hashed(self) -> str:
        """The key as it may be told to whoever stores it: see `read_hashed`."""
        return f"{self.key_id}:{self.secret_hash.hex()}"


@dataclass(frozen=True)
class HashedCredential:
    """A key whose secret somebody else keeps: what can be stored of it."""

    key_id: str
    secret_hash: bytes


@dataclass(frozen=True)
class StoredKey:
    """A key that was not revoked, as the database knows it."""

    key_id: str
    secret_hash: bytes
    scopes: frozenset[Scope]
    requests_per_minute: int
    sandbox: bool = False


def new_credential() -> Credential:
    """A key that nobody has seen before."""
    return Credential(secrets.token_hex(6), secrets.token_urlsafe(32))


def read_credential(key: str) -> Credential | None:
    """A key's parts; None where it is not written like one of ours."""
    match = _KEY.fullmatch(key)
    return Credential(*match.groups()) if match else None


def read_hashed(text: str) -> HashedCredential | None:
    """A hashed key as `<key id>:<SHA-256 of the secret, in hex>`; None where it is not one."""
    match = _HASHED.fullmatch(text)
    return HashedCredential(match[1], bytes.fromhex(match[2])) if match else None


def is_genuine(credential: Credential, stored: StoredKey) -> bool:
    """Whether the secret is the stored key's; how long that takes tells nothing of it."""
    return hmac.compare_digest(credential.secret_hash, stored.secret_hash)
