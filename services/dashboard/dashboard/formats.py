"""CORE: changes, clocks and names as the pages show them; `showing.formats` tells figures."""

import re

import pandas as pd

from deloton.rules.figures import FIGURE
from deloton.showing.csv_cells import harmless
from deloton.showing.formats import NOTHING, in_unit, number

_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+\-.!|~<>:$&])")


def change(now: float | None, before: float | None, unit: str = "") -> str | None:
    """The signed difference with its unit; None where one of the two is not known."""
    if now is None or before is None or pd.isna(now) or pd.isna(before):
        return None
    difference = round(now) - round(before)
    sign = "−" if difference < 0 else "+" if difference else "±"
    return f"{sign}{abs(difference):,} {unit}".strip()


def change_percent(now: float | None, before: float | None) -> str | None:
    """The signed change in percent of what was before; None without a before to compare with."""
    if now is None or before is None or pd.isna(now) or pd.isna(before) or not before:
        return None
    percent = round(100 * (now - before) / before)
    sign = "−" if percent < 0 else "+" if percent else "±"
    return f"{sign}{abs(percent):,} %"


def clock(seconds: float | None) -> str:
    """A span as minutes and seconds, `8:40`; from an hour on with hours, `1:02:03`."""
    if seconds is None or pd.isna(seconds):
        return NOTHING
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def of_one_ride(name: str, value: float | None) -> str:
    """A figure of one ride: `118 W`, `61.7 kJ`; seconds as `8:40`."""
    figure = FIGURE[name]
    if figure.unit == "s":
        return clock(value)
    return number(value, figure.unit, figure.decimals)


def of_many_rides(name: str, value: float | None) -> str:
    """What a figure of many rides comes to: `34.6 MW`, `3 h 20 min`."""
    return in_unit(value, FIGURE[name].unit)


def plain(text: str) -> str:
    """A text from outside as Markdown that shows just that text."""
    return _MARKDOWN.sub(r"\\\1", text)


def csv_of(rows: pd.DataFrame) -> bytes:
    """The rows as CSV that spreadsheets open: UTF-8 with a mark; no cell begins a formula."""
    safe = rows.copy()
    for column in safe.columns:
        if not pd.api.types.is_numeric_dtype(safe[column]):
            safe[column] = [harmless(cell) for cell in safe[column]]
    text: str = safe.to_csv(index=False)
    return text.encode("utf-8-sig")
