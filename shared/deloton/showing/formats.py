"""CORE: figures as people read them, the same on pages, in mails and in reports.

What was not measured, None or NaN, is a dash.
"""

from typing import Final

NOTHING: Final = "–"

_THOUSANDS_FROM: Final = 10_000
_MILLIONS_FROM: Final = 1_000_000
_TENTHS_TO: Final = 100
_MINUTE_S: Final = 60
_HOUR_S: Final = 3600
# From here on minutes say nothing any more.
_HOURS_ALONE_FROM_S: Final = 10 * _HOUR_S


def number(value: float | None, unit: str = "", decimals: int = 0) -> str:
    """A number with thousands separators and its unit: `1,485 W`."""
    if is_nothing(value):
        return NOTHING
    return f"{value:,.{decimals}f} {unit}".strip()


def per_cent(share: float | None) -> str:
    """A share of one in whole per cent: `53 %`."""
    return number(None if share is None else 100 * share, "%")


def power(watts: float | None) -> str:
    """Watts, of large sums in the unit that fits: `120 W`, `34 kW`, `34.6 MW`."""
    if watts is None or watts < _THOUSANDS_FROM or is_nothing(watts):
        return number(watts, "W")
    if watts < _MILLIONS_FROM:
        return number(watts / 1_000, "kW")
    return _in_tenths_while_small(watts / 1_000_000, "MW")


def energy(kilojoules: float | None) -> str:
    """Kilojoules, or megajoules of large sums: `94 kJ`, `16.3 MJ`, `2,400 MJ`."""
    if kilojoules is None or kilojoules < _THOUSANDS_FROM or is_nothing(kilojoules):
        return number(kilojoules, "kJ")
    return _in_tenths_while_small(kilojoules / 1_000, "MJ")


def duration(seconds: float | None) -> str:
    """A length of time in the unit that fits: `45 s`, `8 min 20 s`, `3 h 20 min`, `1,234 h`."""
    if seconds is None or is_nothing(seconds):
        return NOTHING
    minutes, rest_s = divmod(round(seconds), _MINUTE_S)
    if seconds >= _HOURS_ALONE_FROM_S:
        return number(seconds / _HOUR_S, "h")
    hours, rest_min = divmod(minutes, 60)
    if hours:
        return f"{hours} h {rest_min} min"
    return f"{minutes} min {rest_s} s" if minutes else f"{rest_s} s"


def in_unit(value: float | None, unit: str) -> str:
    """What many rides come to: time, power and energy in the unit that fits, others as they are."""
    fitting = {"s": duration, "W": power, "kJ": energy}.get(unit)
    return fitting(value) if fitting else number(value, unit)


def is_nothing(value: float | None) -> bool:
    """Whether there is no such figure: None, or pandas' NaN."""
    return value is None or value != value  # noqa: PLR0124  NaN alone differs from itself


def _in_tenths_while_small(value: float, unit: str) -> str:
    return number(value, unit, decimals=1 if value < _TENTHS_TO else 0)
