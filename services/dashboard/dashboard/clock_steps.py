"""CORE: moments counted by the company's hours and other steps, where the clocks change too.

Charts draw time as it passes, in milliseconds since 1970, and write beside it what the company's
clocks show: the hour that comes twice is there twice, the one that is left out leaves no gap, and
nothing depends on the zone that a viewer's browser is in.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from deloton.rules.calendar import (
    DAYS_A_WEEK,
    ONE_DAY,
    ONE_HOUR,
    day_bounds,
    steps_of_day,
    steps_over,
)

# How far apart the marks of an axis may lie.
_MARKS: Final = (
    *(timedelta(minutes=minutes) for minutes in (5, 15, 30)),
    *(hours * ONE_HOUR for hours in (1, 2, 3, 6, 12)),
    *(days * ONE_DAY for days in (1, 2, 5, DAYS_A_WEEK)),
)
_MOST_MARKS: Final = 8


@dataclass(frozen=True)
class Steps:
    """Steps of one kind that follow each other without a hole, and the zone they are called in.

    `begins`: when each begins, in UTC, and last when the last one ends.
    """

    begins: tuple[datetime, ...]
    zone: ZoneInfo

    def __len__(self) -> int:
        """How many there are."""
        return len(self.begins) - 1

    @property
    def ms(self) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
        """`begins` in milliseconds since 1970."""
        return np.array([ms_of(at) for at in self.begins], dtype=np.int64)

    def numbers_of(self, moments: "pd.Series[pd.Timestamp]") -> "pd.Series[int]":
        """The number, from 0, of the step that holds each moment (aware)."""
        held = moments.dt.tz_convert("UTC").dt.as_unit("us").astype("int64")
        edges = [round(at.timestamp() * 1_000_000) for at in self.begins]
        numbers = np.searchsorted(edges, held.to_numpy(), side="right") - 1
        return pd.Series(numbers, index=moments.index, dtype="int64")

    def table(self) -> pd.DataFrame:
        """A row per step: `at` and `until` (ms since 1970), `clock`, what it is called."""
        called = [clock_text(at, self.zone) for at in self.begins[:-1]]
        return pd.DataFrame({"at": self.ms[:-1], "until": self.ms[1:], "clock": called})


def steps_holding(
    moments: "pd.Series[pd.Timestamp]",
    step: timedelta,
    zone: ZoneInfo,
    *,
    span: tuple[datetime, datetime],
) -> Steps:
    """The steps of a span, and those that hold moments beside it: none falls out."""
    ends = [*span, *(moments.agg(["min", "max"]) if len(moments) else ())]
    return Steps(tuple(steps_over(min(ends), max(ends), step, zone)), zone)


def steps_of_days(moments: "pd.Series[pd.Timestamp]", step: timedelta, zone: ZoneInfo) -> Steps:
    """The steps of the days on which moments lie; between days apart lies one that holds none.

    So that a bike's clock that stands at another year makes no chart of a million hours.
    """
    days = sorted(moments.dt.tz_convert(zone).dt.date.unique())
    begins = {
        at for day in days for at in (*steps_of_day(day, step, zone), day_bounds(day, zone)[1])
    }
    return Steps(tuple(sorted(begins)), zone)


def marks_between(first_ms: int, last_ms: int, zone: ZoneInfo) -> tuple[list[int], list[str]]:
    """Where an axis of time is marked (ms since 1970), and what the company's clocks show there.

    At full hours or parts of them, or at midnights, which are written as their days: at most nine.
    """
    ends = (pd.Timestamp(ms, unit="ms", tz="UTC").to_pydatetime() for ms in (first_ms, last_ms))
    first, last = ends
    step = next((step for step in _MARKS if last - first <= _MOST_MARKS * step), _MARKS[-1])
    within = [at for at in steps_over(first, last, min(step, ONE_DAY), zone) if first <= at <= last]
    days = max(step // ONE_DAY, len(within) // _MOST_MARKS, 1) if step >= ONE_DAY else 1
    marks = within[::days]
    return [ms_of(mark) for mark in marks], [_mark_text(mark, zone) for mark in marks]


def _mark_text(at: datetime, zone: ZoneInfo) -> str:
    local = at.astimezone(zone)
    return f"{local:%H:%M}" if local.hour or local.minute else f"{local.day} {local:%b}"


def clock_text(at: datetime, zone: ZoneInfo) -> str:
    """A moment as the company's clocks show it: `25 Oct 09:00`; in an hour that comes twice, which.

    `25 Oct 01:00 BST`, then `25 Oct 01:00 GMT`.
    """
    local = at.astimezone(zone)
    comes_twice = local.replace(fold=1 - local.fold).utcoffset() != local.utcoffset()
    return f"{local.day} {local:%b %H:%M}" + (f" {local:%Z}" if comes_twice else "")


def ms_of(moment: datetime) -> int:
    """Milliseconds since 1970."""
    return round(moment.timestamp() * 1000)
