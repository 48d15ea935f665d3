"""CORE: what an address of a way out for mail may look like."""

from typing import Final
from urllib.parse import SplitResult, urlsplit

_LARGEST_PORT: Final = 65_535


def check_mail_url(url: str) -> SplitResult:
    """The parts of a mail URL. Raises `ValueError` that says what is wrong, not what was given."""
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        raise ValueError(f"the port must be between 1 and {_LARGEST_PORT}") from None
    names_a_way = {
        "ses": bool(parts.hostname) and not parts.path.strip("/") and port is None,
        "smtp": bool(parts.hostname) and port != 0,
        "smtps": bool(parts.hostname) and port != 0,
        "file": bool(parts.path.strip("/")) and not parts.netloc,
    }
    # The address may hold a password: it is not repeated here.
    if not names_a_way.get(parts.scheme):
        raise ValueError("a mail URL is ses://<region>, smtp://<host> or file:///<folder>")
    if parts.query not in {"", "tls=optional"}:
        raise ValueError("the only option of a mail URL is ?tls=optional")
    return parts
