"""CORE: which of the offered formats an `Accept` header asks for (RFC 9110, 12.5.1)."""

from collections.abc import Sequence

from api.contract.problems import NOT_ACCEPTABLE, Problem


def preferred(accept: str | None, offered: Sequence[str]) -> str:
    """The offered media type with the highest quality; of equals the first offered.

    Raises a `Problem` where none is wanted.
    """
    if not accept:
        return offered[0]
    wishes = [_wish(part) for part in accept.split(",") if part.strip()]
    best = max(offered, key=lambda media_type: _quality(media_type, wishes))
    if wishes and _quality(best, wishes) <= 0:
        raise Problem(NOT_ACCEPTABLE, f"Accept may name {' or '.join(offered)}.")
    return best


def _wish(part: str) -> tuple[str, float]:
    media_range, *parameters = (word.strip().lower() for word in part.split(";"))
    for parameter in parameters:
        if parameter.startswith("q="):
            return media_range, _number(parameter[2:])
    return media_range, 1.0


def _number(text: str) -> float:
    try:
        return min(1.0, max(0.0, float(text)))
    except ValueError:
        return 0.0


def _quality(media_type: str, wishes: Sequence[tuple[str, float]]) -> float:
    """The quality of the most specific range that holds the type."""
    for media_range in (media_type, media_type.split("/", maxsplit=1)[0] + "/*", "*/*"):
        found = [quality for wished, quality in wishes if wished == media_range]
        if found:
            return max(found)
    return 0.0
