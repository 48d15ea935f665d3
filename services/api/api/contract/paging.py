"""CORE: where a page ended, as an opaque cursor: later rows are found by it, not counted off.

A cursor says the sort key and the id of the page's last row, and a digest of the parameters it
was given out with: rows that come or go meanwhile shift nothing. It is not signed: it can only
say where to go on among rows that its owner may read anyway.
"""

import base64
import binascii
import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Generic, TypeVar
from urllib.parse import urlencode

import msgspec

from api.contract.parameters import IN_REACH, LARGEST_ID
from api.contract.problems import Problem, parameter_problem

V = TypeVar("V")

# What the sort key of a list can be.
AwareTime = Annotated[datetime, msgspec.Meta(tz=True)]


class Cursor(msgspec.Struct, Generic[V], array_like=True):
    """The last row of a page: its sort key and its id."""

    digest: str
    value: V
    row_id: int


def digest_of(parameters: Mapping[str, object]) -> str:
    """What tells one set of parameters from another."""
    told = repr(sorted((name, str(value)) for name, value in parameters.items()))
    return hashlib.blake2b(told.encode(), digest_size=6).hexdigest()


def write_cursor(cursor: Cursor[V]) -> str:
    """The cursor as a parameter's value."""
    return base64.urlsafe_b64encode(msgspec.json.encode(cursor)).decode().rstrip("=")


def read_cursor(text: str, kind: Any, digest: str) -> Cursor[Any]:  # noqa: ANN401  a type form
    """The cursor of a parameter's value, whose sort key is of a `kind`.

    Raises a `Problem` for one that is not ours, or was given out with other parameters.
    """
    try:
        padded = text.encode("ascii") + b"=" * (-len(text) % 4)
        data = base64.b64decode(padded, altchars=b"-_", validate=True)
        cursor: Cursor[Any] = msgspec.json.decode(data, type=Cursor[kind])
    except (UnicodeError, binascii.Error, msgspec.MsgspecError):
        raise _no_cursor("is not a cursor of this API; take it from `next`") from None
    if cursor.digest != digest:
        raise _no_cursor("belongs to a request with other parameters; take it from `next`")
    if not _is_possible(cursor):
        raise _no_cursor("leads nowhere; take it from `next`")
    return cursor


def _is_possible(cursor: Cursor[Any]) -> bool:
    if isinstance(cursor.value, datetime) and cursor.value.year not in IN_REACH:
        return False
    return 0 <= cursor.row_id <= LARGEST_ID


def next_address(path: str, parameters: Mapping[str, object], cursor: str) -> str:
    """The address of the following page: the same parameters, from the cursor on."""
    return f"{path}?{urlencode({**parameters, 'cursor': cursor})}"


def _no_cursor(message: str) -> Problem:
    return parameter_problem("cursor", message)
