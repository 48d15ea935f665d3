"""EDGE: PostgreSQL's roles: one a service, and how each comes to its password."""

import base64
import hashlib
import hmac
import secrets
from typing import Final
from urllib.parse import quote, urlsplit, urlunsplit

import asyncpg

from deloton.store.database import Connection

# Each service logs in as its own; migration 0007 says what each may do.
SERVICE_ROLES: Final = (
    "ingestor",
    "hr_alerter",
    "api",
    "dashboard",
    "reporter",
    "star_refresher",
)

_SCRAM_ROUNDS = 4096


def scram_verifier(password: str) -> str:
    """What PostgreSQL keeps of a password (RFC 5803): the password itself is in no log of it."""
    salt = secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, _SCRAM_ROUNDS)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    told = [base64.b64encode(part).decode() for part in (salt, stored, server)]
    return f"SCRAM-SHA-256${_SCRAM_ROUNDS}:{told[0]}${told[1]}:{told[2]}"


async def set_password(database: Connection | asyncpg.Pool, role: str, password: str) -> None:
    """Let a role log in with this password from now on; sessions that are open stay so."""
    await database.execute(f"ALTER ROLE {role} PASSWORD '{scram_verifier(password)}'")


def url_as(url: str, role: str, password: str) -> str:
    """The address of the same database for another role."""
    parts = urlsplit(url)
    place = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{role}:{quote(password, safe='')}@{place}"))
