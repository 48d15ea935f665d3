"""CORE: what charts of several pages are made of: heights, axes of time and counts, tooltips."""

from typing import Any, Final
from zoneinfo import ZoneInfo

import altair as alt
import pandas as pd

from dashboard.clock_steps import marks_between

# Pixels: side by side with others, and alone across the page.
BESIDE: Final = 190
ALONE: Final = 260


def of_height(chart: Any, height: int) -> alt.Chart:  # noqa: ANN401  Altair's encode() is untyped
    """The chart, so many pixels high."""
    sized: alt.Chart = chart.properties(height=height)
    return sized


def clock_axis(rows: pd.DataFrame, title: str, zone: ZoneInfo, *, at_least_ms: int = 0) -> alt.X:
    """Time from `at` (ms since 1970), marked with what the company's clocks show.

    It ends with the last `until`, and is `at_least_ms` wide: a single bar would be a wall.
    """
    last = int(rows["until"].max())
    first = min(int(rows["at"].min()), last - at_least_ms)
    marks, texts = marks_between(first, last, zone)
    axis = alt.Axis(
        grid=False, values=marks, labelExpr=f"{texts}[indexof({marks}, datum.value)]",
        labelFlush=False, labelOverlap="greedy", labelSeparation=6,
    )  # fmt: skip
    scale = alt.Scale(domainMin=first, nice=False, zero=False)
    return alt.X("at:Q", title=title, axis=axis, scale=scale)


def count_axis() -> alt.Axis:
    """Whole numbers."""
    return alt.Axis(tickMinStep=1, tickCount=5, format=",d")


def rides_height() -> alt.Y:
    """How many `rides`."""
    return alt.Y("rides:Q", title="Rides", axis=count_axis())


def from_clock() -> alt.Tooltip:
    """When a step begins, by the company's `clock`."""
    return alt.Tooltip("clock:N", title="From")


def rides_tooltip() -> alt.Tooltip:
    """How many `rides`."""
    return alt.Tooltip("rides:Q", title="Rides", format=",")
