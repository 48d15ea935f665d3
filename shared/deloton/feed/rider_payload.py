"""What bikes are told about riders, in loose spelling, read into a `Rider`.

Nothing here raises: a field that cannot be read is unknown, and the rider is kept. Texts are cut
to what their fields can sensibly hold (`LONGEST`); but an e-mail address that is too long is
unknown: cut, it could be somebody else's.
"""

import math
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta

from deloton.events import Address, Gender, Rider

TITLES = frozenset({"mr", "mrs", "miss", "ms", "mx", "dr", "prof"})

# In characters, generously: the longest name of a street, town or source in use has under 100.
# E-mail: RFC 5321, 4.5.3.1.3, whose path of 256 includes the angle brackets.
LONGEST = {
    "first_name": 100,
    "last_name": 200,
    "email": 254,
    "flat": 60,
    "street": 200,
    "town": 100,
    "postcode": 16,
    "original_source": 100,
    "firmware": 60,
}

_GENDERS = {gender.value: gender for gender in Gender}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LARGEST_ID = 2**63 - 1
_LONGEST_ID_SPELLING = 19
# PostgreSQL text holds neither NUL nor half of a surrogate pair, and JSON can spell both.
_UNSTORABLE = {0: None} | dict.fromkeys(range(0xD800, 0xE000))


def parse_rider(data: Mapping[str, object]) -> Rider | None:
    """Read the payload of a `[SYSTEM]` line; None where it has no usable `user_id`."""
    rider_id = whole_number(data.get("user_id"))
    if rider_id is None:
        return None
    title, first_name, last_name = parse_name(text(data.get("name")))
    email = text(data.get("email_address"))
    return Rider(
        rider_id=rider_id,
        title=title,
        first_name=first_name,
        last_name=last_name,
        gender=parse_gender(data.get("gender")),
        born_on=day_of_epoch_ms(data.get("date_of_birth")),
        email=email if email and len(email) <= LONGEST["email"] else None,
        height_cm=positive(data.get("height_cm")),
        weight_kg=positive(data.get("weight_kg")),
        address=parse_address(text(data.get("address"))),
        account_created_on=day_of_epoch_ms(data.get("account_create_date")),
        original_source=cut("original_source", text(data.get("original_source"))),
    )


def parse_name(name: str | None) -> tuple[str | None, str | None, str | None]:
    """Split a name into title, first and last name: `Dr. Ann Lee-Smith` → Dr, Ann, Lee-Smith."""
    words = (name or "").split()
    title = None
    if len(words) > 1 and words[0].rstrip(".").lower() in TITLES:
        title = words.pop(0).rstrip(".")
    first_name = words[0] if words else None
    last_name = " ".join(words[1:]) or None
    return title, cut("first_name", first_name), cut("last_name", last_name)


def parse_address(address: str | None) -> Address:
    """Split `12 Example lane,Exampleton,EX4 4MP`; of four parts the first is the flat.

    Fewer than three parts are a street and, with two, a town; more than four belong to the street.
    """
    parts = [part.strip() or None for part in (address or "").split(",")]
    match parts:
        case [street]:
            return _bounded(Address(street=street))
        case [street, town]:
            return _bounded(Address(street=street, town=town))
        case [street, town, postcode]:
            return _bounded(Address(street=street, town=town, postcode=postcode))
        case [flat, *street_parts, town, postcode]:
            street = ", ".join(part for part in street_parts if part) or None
            return _bounded(Address(flat=flat, street=street, town=town, postcode=postcode))
    return Address()


def parse_gender(value: object) -> Gender:
    """The gender by name; None and blank are unknown, any other word is `OTHER`."""
    word = (text(value) or "").lower()
    if not word:
        return Gender.UNKNOWN
    return _GENDERS.get(word, Gender.OTHER)


def cut(field: str, value: str | None) -> str | None:
    """The beginning of a text, as much of it as its field holds."""
    return value[: LONGEST[field]].rstrip() or None if value else None


def text(value: object) -> str | None:
    """A value as storable text without outer blanks; None where nothing is left."""
    if not isinstance(value, str):
        return None
    return value.translate(_UNSTORABLE).strip() or None


def whole_number(value: object) -> int | None:
    """A whole number from 0 that fits a bigint, also where it is spelled as text."""
    if isinstance(value, str) and len(value) <= _LONGEST_ID_SPELLING and value.isascii():
        value = int(value) if value.isdigit() else None
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _LARGEST_ID:
        return value
    return None


def positive(value: object) -> float | None:
    """A finite number above 0."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if 0 < number < math.inf else None


def day_of_epoch_ms(value: object) -> date | None:
    """The UTC day of a number of milliseconds since 1970, negative before it."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return (_EPOCH + timedelta(milliseconds=value)).date()
    except (OverflowError, ValueError):
        return None


def _bounded(address: Address) -> Address:
    return Address(
        flat=cut("flat", address.flat),
        street=cut("street", address.street),
        town=cut("town", address.town),
        postcode=cut("postcode", address.postcode),
    )
