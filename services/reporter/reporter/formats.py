"""CORE: how the report writes changes, shares and names; plain figures: `showing.formats`."""

from collections.abc import Callable
from datetime import date
from typing import Final

from deloton.rules.figures import unit_of
from deloton.showing.formats import NOTHING, in_unit, number

# Below half a per cent up or down, people call it the same.
SAME: Final = 0.005
# Changes beyond this are told as a factor: +4,900 % says less than 50 times.
LARGE_CHANGE: Final = 9.995
# From here on a tenth of a mean count says nothing.
LARGE_COUNT: Final = 100
# In signs: a line of half a page, beside two figures.
LONGEST_NAME: Final = 26
# The same, beside three figures.
LONGEST_LABEL: Final = 20


def share(value: float | None) -> str:
    """A share in per cent: `17.3 %`."""
    return NOTHING if value is None else apart(f"{value:.1%}")


def in_words(name: str, value: float | None, count: Callable[[float | None], str] = number) -> str:
    """A figure as its name's end says: a share, in its unit, or a count."""
    if name.endswith("_share"):
        return share(value)
    unit = unit_of(name)
    return in_unit(value, unit) if unit else count(value)


def mean_count(value: float | None) -> str:
    """A mean of whole numbers: `0.3`, `12`, `1,234`."""
    if value is None or value >= LARGE_COUNT or value == round(value):
        return number(value)
    return f"{value:.1f}"


def change(value: float) -> str:
    """A relative change as people say it: `+12 %`, `−3 %`, `±0 %`, `12 times`."""
    if value > LARGE_CHANGE:
        return f"{value + 1:,.0f} times"
    if abs(value) < SAME:
        return apart("±0%")
    return apart(f"{'+' if value > 0 else '−'}{abs(value):.0%}")


def compared(value: float, against: str) -> str:
    """A change with what it is measured by: `+12 % on the day before`."""
    return f"{change(value)} {'' if value > LARGE_CHANGE else 'on '}the {against}"


def apart(text: str) -> str:
    """Signs of per cent stand apart from their numbers and on the same line."""
    return text.replace("%", "\u00a0%")


def long_date(day: date) -> str:
    """`10 March 2026`."""
    return f"{day.day} {day:%B %Y}"


def plural(count: float, noun: str) -> str:
    """`1 ride`, `2 rides`, `no rides`."""
    return f"{number(count) if count else 'no'} {noun}{'' if count == 1 else 's'}"


def shortened(text: str, longest: int = LONGEST_NAME) -> str:
    """A name that fits on one line of the report's columns."""
    return text if len(text) <= longest else f"{text[: longest - 1].rstrip()}…"
