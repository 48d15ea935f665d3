"""CORE: everything that can go wrong, as RFC 9457 problem details: a table, a row a kind."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from deloton.errors import DelotonError

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 5


@dataclass(frozen=True)
class Kind:
    """One kind of problem. `slug` ends its `type`, a reference that leads to `meaning`."""

    slug: str
    status: int
    title: str
    meaning: str

    @property
    def type(self) -> str:
        """What names the kind in a problem's body."""
        return f"/problems/{self.slug}"

    @property
    def constant(self) -> str:
        """What programs call it: `NOT_FOUND`."""
        return self.slug.replace("-", "_").upper()


INVALID_PARAMETER = Kind(
    "invalid-parameter",
    422,
    "A parameter cannot be meant",
    "`errors` names each parameter and says what is wrong with it. Sending the same again will "
    "not help.",
)
UNKNOWN_PARAMETER = Kind(
    "unknown-parameter",
    422,
    "A parameter is not known here",
    "`errors` names it: most often a spelling mistake, which would otherwise pass for a filter.",
)
KEY_MISSING = Kind(
    "key-missing",
    401,
    "An API key is needed",
    "Send `Authorization: Bearer <key>`. Keys are made by us; ask for one.",
)
KEY_WRONG = Kind(
    "key-wrong",
    401,
    "This API key opens nothing",
    "The key is misspelt, unknown, was revoked or has expired.",
)
SCOPE_MISSING = Kind(
    "scope-missing",
    403,
    "The key's scopes do not allow this",
    "`detail` names the scope that is missing: `read`, `personal`, `erase` or `webhooks`.",
)
NOT_FOUND = Kind(
    "not-found",
    404,
    "There is no such thing",
    "No ride, rider, webhook or export has this number: it never had, or it was deleted.",
)
CHANGES_FORGOTTEN = Kind(
    "changes-forgotten",
    410,
    "These changes are no longer known",
    "What came after `after`, or after what a webhook was told of last, is too old, or the feed "
    "began anew: ask where it stands, load your copy again, and go on from there. A webhook is "
    "switched on with `from_now=true` first.",
)
TOO_MANY_WEBHOOKS = Kind(
    "too-many-webhooks", 409, "The key has as many webhooks as it may have", "Delete one first."
)
BODY_TOO_LARGE = Kind("body-too-large", 413, "The request's body is too large", "See `detail`.")
NO_SUCH_PATH = Kind(
    "no-such-path", 404, "There is nothing at this address", "`/docs` lists every path."
)
METHOD_NOT_ALLOWED = Kind(
    "method-not-allowed",
    405,
    "This cannot be done with the resource",
    "The header `Allow` lists the methods that can be used.",
)
RIDE_GOES_ON = Kind(
    "ride-goes-on",
    409,
    "The ride has not ended",
    "A file is of a whole ride: ask again when it has ended. `…/readings` tells what there is.",
)
NOT_ACCEPTABLE = Kind(
    "not-acceptable",
    406,
    "None of the asked formats is offered",
    "`detail` lists the media types that `Accept` may name.",
)
TOO_MANY_REQUESTS = Kind(
    "too-many-requests",
    429,
    "The key has asked too often",
    "`Retry-After` says in how many seconds to go on; `RateLimit-*` headers come with every "
    "answer to a valid key, so that it need not come to this.",
)
TOO_MANY_OPEN = Kind(
    "too-many-open",
    429,
    "Too many answers that last are open",
    "Whole lists as CSV, files of rides, exports and streams are bounded, for each key and in all: "
    "let one end, or come back after `Retry-After` seconds.",
)
HEAD_TOO_LARGE = Kind(
    "head-too-large", 431, "The request's head is too large", "Its address and headers together."
)
HEAD_TOO_SLOW = Kind(
    "head-too-slow", 408, "The request's head took too long", "The connection is closed."
)
NO_EXPORT_STORE = Kind(
    "no-export-store",
    501,
    "Exports are not made in the background here",
    "This installation has nowhere to keep them: take `/v1/riders/{rider_id}/export`.",
)
INTERNAL = Kind(
    "internal-error", 500, "We made a mistake", "It is logged. Trying again may help or not."
)
DATABASE_AWAY = Kind(
    "database-away",
    503,
    "The database cannot be reached",
    "Nothing is wrong with the request: repeat it after `Retry-After` seconds.",
)
TOO_SLOW = Kind(
    "too-slow",
    503,
    "The answer took too long",
    "The database was too busy, or so much was asked for that it gave up: ask for a narrower "
    "span, or again later.",
)

KINDS = (
    INVALID_PARAMETER,
    UNKNOWN_PARAMETER,
    KEY_MISSING,
    KEY_WRONG,
    SCOPE_MISSING,
    NOT_FOUND,
    CHANGES_FORGOTTEN,
    TOO_MANY_WEBHOOKS,
    BODY_TOO_LARGE,
    NO_SUCH_PATH,
    METHOD_NOT_ALLOWED,
    NOT_ACCEPTABLE,
    RIDE_GOES_ON,
    TOO_MANY_REQUESTS,
    TOO_MANY_OPEN,
    HEAD_TOO_LARGE,
    HEAD_TOO_SLOW,
    NO_EXPORT_STORE,
    INTERNAL,
    DATABASE_AWAY,
    TOO_SLOW,
)


@dataclass(frozen=True)
class ParameterError:
    """What is wrong with one parameter; `parameter` None: with several of them together."""

    parameter: str | None
    place: str
    message: str


class Problem(DelotonError):
    """A request that is answered with a problem instead of what it asked for."""

    def __init__(
        self,
        kind: Kind,
        detail: str,
        *,
        errors: Sequence[ParameterError] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """`detail` is for the one who asked: what was wrong this time."""
        super().__init__(detail)
        self.kind = kind
        self.detail = detail
        self.errors = errors
        self.headers = dict(headers or {})

    def body(self) -> bytes:
        """The problem as JSON."""
        told: dict[str, Any] = {
            "type": self.kind.type,
            "title": self.kind.title,
            "status": self.kind.status,
            "detail": self.detail,
        }
        if self.errors:
            told["errors"] = [
                {"parameter": error.parameter, "in": error.place, "message": error.message}
                for error in self.errors
            ]
        return msgspec.json.encode(told)


def parameter_problem(parameter: str, message: str, place: str = "query") -> Problem:
    """The problem of one parameter that was read but cannot be meant."""
    error = ParameterError(parameter, place, message)
    return Problem(INVALID_PARAMETER, f"{parameter}: {message}", errors=[error])


def not_found(what: str, number: int) -> Problem:
    """The problem of something that is not there."""
    return Problem(NOT_FOUND, f"There is no {what} {number}.")


# Kafka keeps nothing for longer: raw lines, events, dead letters.
KAFKA_KEEPS: Final = timedelta(days=90)


def rider_erased(rider_id: int, erased_at: datetime) -> Problem:
    """The problem of a rider who was erased: what remains elsewhere, and until when."""
    return Problem(
        NOT_FOUND,
        f"There is no rider {rider_id}: erased on {erased_at:%Y-%m-%d}. Until "
        f"{erased_at + KAFKA_KEEPS:%Y-%m-%d} Kafka may hold lines of rides before, for 14 days "
        "backups; mails that were sent and archived reports have no end of their own.",
    )


def scope_missing(scope: str, what: str) -> Problem:
    """The problem of a key that may not do `what`."""
    return Problem(SCOPE_MISSING, f"{what} needs a key with the scope `{scope}`.")


def database_away() -> Problem:
    """The problem of a database that is gone for now."""
    return Problem(
        DATABASE_AWAY,
        "The database cannot be reached at the moment.",
        headers={"Retry-After": str(RETRY_AFTER_S)},
    )


def too_many_open(detail: str) -> Problem:
    """The problem of one more answer that would last."""
    return Problem(TOO_MANY_OPEN, detail, headers={"Retry-After": str(RETRY_AFTER_S)})


def too_slow() -> Problem:
    """The problem of a statement that was given up."""
    return Problem(
        TOO_SLOW,
        "The database did not answer in time.",
        headers={"Retry-After": str(RETRY_AFTER_S)},
    )
