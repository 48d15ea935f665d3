"""CORE: mail addresses as people write them, read once, where they come in."""

import unicodedata
from email.errors import MessageError
from email.headerregistry import Address
from email.policy import default
from typing import Any, Final

LONGEST_NAME: Final = 60

# What an address of the web or of mail cannot do without, and markup.
_NO_PART_OF_A_NAME: Final = frozenset('@/\\:<>[]{}|=&?#%*"“”')
# Two letters of some scripts are joined by the one, kept apart by the other.
_JOINERS: Final = frozenset("\u200c\u200d")


def parse_address(text: str | None, display_name: str = "") -> Address | None:
    """A bare address, or None where no mail can go there.

    Only ASCII: SES takes no other local parts, and domains in their ASCII spelling alone.
    """
    if not text or not text.isascii() or text != text.strip():
        return None
    try:
        address = Address(display_name, addr_spec=text)
    except (MessageError, ValueError, IndexError):
        return None
    has_host = "." in address.domain.strip(".") or address.domain == "localhost"
    return address if address.username and has_host else None


def parse_addresses(text: str) -> tuple[Address, ...]:
    """The addresses of a line such as `"Example, Zoe" <zoe@example.com>, ada@example.com`.

    Raises `ValueError` where any part of it is no address that mail can go to.
    """
    header: Any = default.header_factory("To", text)
    found = tuple(header.addresses)
    if "\n" in text or not found or header.defects or not all(map(_can_be_mailed, found)):
        raise ValueError(
            "must be an address, or several with commas between them, like "
            'ada@example.com, "Example, Zoe" <zoe@example.com> (quote names with a comma or an @)'
        )
    return found


def greeting_name(text: str | None) -> str | None:
    """A name that a mail may greet with: one line of at most 60 signs; None for anything else.

    Riders choose their names. What could be a message of theirs, above all an address that
    somebody might open, goes out under ours to nobody.
    """
    name = " ".join("".join(map(_readable, text or "")).split())
    is_name = len(name) <= LONGEST_NAME and not any(map(_is_odd, name)) and not _has_host(name)
    return name if is_name and name else None


def _can_be_mailed(address: Address) -> bool:
    return parse_address(address.addr_spec) is not None


def _readable(sign: str) -> str:
    if sign.isspace() or unicodedata.category(sign) in {"Cc", "Zl", "Zp"}:
        return " "
    is_hidden = unicodedata.category(sign).startswith("C") and sign not in _JOINERS
    return "" if is_hidden else sign


def _is_odd(sign: str) -> bool:
    return sign in _NO_PART_OF_A_NAME or sign.isdigit()


def _has_host(name: str) -> bool:
    """Whether a dot stands within a word, as in `example.com`."""
    return any("." in word.strip(".") for word in name.split())
