"""CORE: numbers, spans of time and names as people read them."""

import re
from typing import Final

import pandas as pd

from deloton.csv_cells import harmless

NOTHING: Final = "–"
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+\-.!|~<>:$&])")


def number(value: float | None, unit: str = "", decimals: int = 0) -> str:
    """A number with thousands separators and its unit; a dash where nothing was measured."""
    if value is None or pd.isna(value):
        return NOTHING
    return f"{value:,.{decimals}f} {unit}".strip()


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


def span(seconds: float | None) -> str:
    """A long span in its two largest units: `45 s`, `8 min`, `3 h 20 min`, `4 d 3 h`."""
    if seconds is None or pd.isna(seconds):
        return NOTHING
    minutes = round(seconds / 60)
    if seconds < 60:  # noqa: PLR2004  a minute
        return f"{seconds:.0f} s"
    hours, minutes = divmod(minutes, 60)
    days, rest = divmod(hours, 24)
    if days > 9:  # noqa: PLR2004  hours say nothing any more
        return f"{days:,} d"
    if days:
        return f"{days} d {rest} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


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
