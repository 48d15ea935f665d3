"""CORE: what may be asked for, and what is refused: pydantic models of each route's parameters.

A name that is not in the model is refused. Dates are `2026-03-02`, times ISO 8601 with a zone;
pydantic alone would take `1` for one second after 1970.
"""

import re
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Final, Self
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

from api.contract.webhook_rules import LONGEST_URL
from deloton.events import Gender
from deloton.rules.calendar import PLAUSIBLE_AGES, day_bounds
from deloton.rules.changes import ChangeKind
from deloton.rules.heart_rate import AlertLevel

LARGEST_ID = 2**63 - 1
# Years. Where clocks went wrong rides lie far from now, but none that anybody asks for.
IN_REACH = range(1900, 3000)
LARGEST_PAGE = 500
DEFAULT_PAGE = 100
LARGEST_READINGS_PAGE = 5_000
DEFAULT_READINGS_PAGE = 1_000
LARGEST_LIVE_PAGE = 2_000
DEFAULT_LIVE_PAGE = 1_000
LONGEST_CURVE = timedelta(days=366)

# What parameters were called before, and are still known by.
OLD_NAMES: Final = {"from": "from_at", "to": "to_at", "city": "town"}

# Columns of readings may be named without their units.
_UNITS_LEFT_OUT: Final = {
    "elapsed": "elapsed_s",
    "heart_rate": "heart_rate_bpm",
    "cadence": "cadence_rpm",
    "power": "power_watts",
}

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_TIME = re.compile(
    r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?(Z|[+-]\d{2}:\d{2})",
    re.ASCII | re.IGNORECASE,
)
_WHOLE_NUMBER = re.compile(r"-?\d{1,20}", re.ASCII)


def _iso_date(text: object) -> object:
    if not isinstance(text, str):
        return text
    if not _DATE.fullmatch(text):
        raise ValueError("must be a date like 2026-03-02")
    return text


def _iso_time(text: object) -> object:
    if not isinstance(text, str):
        return text
    if not _TIME.fullmatch(text):
        raise ValueError(
            "must be a time with its zone, like 2026-03-02T09:15:00Z; "
            "in an address + is written %2B"
        )
    return text.upper()


def _in_reach(day: date) -> date:
    if day.year not in IN_REACH:
        raise ValueError(f"must lie between {IN_REACH.start} and {IN_REACH.stop - 1}")
    return day


def _in_reach_and_utc(moment: datetime) -> datetime:
    _in_reach(moment.date())
    return moment.astimezone(UTC)


def _whole_number(text: object) -> object:
    if isinstance(text, str) and not _WHOLE_NUMBER.fullmatch(text):
        raise ValueError("must be a whole number")
    return text


def _names_of_columns(text: object) -> object:
    if not isinstance(text, str):
        return text
    names = [_UNITS_LEFT_OUT.get(name, name) for name in text.split(",")]
    if not set(ReadingColumn) >= set(names):
        raise ValueError(f"may name {', '.join(ReadingColumn)}, with commas between them")
    return names


def _yes_or_no(text: object) -> object:
    if isinstance(text, str) and text not in {"true", "false"}:
        raise ValueError("must be true or false")
    return text


_WHOLE = BeforeValidator(_whole_number)

IsoDate = Annotated[date, BeforeValidator(_iso_date), AfterValidator(_in_reach)]
IsoTime = Annotated[datetime, BeforeValidator(_iso_time), AfterValidator(_in_reach_and_utc)]
# The bounds come first: behind a validator they would not be told in the document.
Id = Annotated[int, Field(ge=0, le=LARGEST_ID), _WHOLE]
YesOrNo = Annotated[bool, BeforeValidator(_yes_or_no)]
Words = Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]+$")]
CursorText = Annotated[str, Field(min_length=1, max_length=600, pattern=r"^[A-Za-z0-9_-]+$")]
Reason = Annotated[str, Field(min_length=1, max_length=500, pattern=r"^[^\x00-\x1f\x7f]+$")]
_Age = Annotated[int, Field(ge=PLAUSIBLE_AGES.start, le=PLAUSIBLE_AGES.stop - 1), _WHOLE]


class RideStatus(StrEnum):
    """Whether a ride goes on."""

    LIVE = "live"
    ENDED = "ended"


class RideSort(StrEnum):
    """What rides are sorted by; a minus: the highest or newest first."""

    NEWEST = "-started_at"
    OLDEST = "started_at"
    MOST_MAX_POWER = "-max_power_watts"
    LEAST_MAX_POWER = "max_power_watts"
    MOST_MEAN_POWER = "-mean_power_watts"
    LEAST_MEAN_POWER = "mean_power_watts"
    MOST_ENERGY = "-energy_kj"
    LEAST_ENERGY = "energy_kj"

    @property
    def column(self) -> str:
        """The ride's column."""
        return self.value.removeprefix("-")

    @property
    def descending(self) -> bool:
        """Whether the highest or newest comes first."""
        return self.value.startswith("-")


class LeaderMetric(StrEnum):
    """What a leaderboard ranks: a total of one ride."""

    MAX_POWER = "max_power_watts"
    MEAN_POWER = "mean_power_watts"
    ENERGY = "energy_kj"


class Period(StrEnum):
    """A calendar period in the company's time zone; weeks begin on Monday."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    ALL = "all"


class AlertState(StrEnum):
    """What became of the mail about an alert."""

    PENDING = "pending"
    SENDING = "sending"
    SENT = "sent"
    EXPIRED = "expired"
    UNDELIVERABLE = "undeliverable"
    FAILED = "failed"
    UNKNOWN = "unknown"
    BOUNCED = "bounced"
    COMPLAINED = "complained"


class ReadingColumn(StrEnum):
    """What a reading tells beside its time."""

    ELAPSED = "elapsed_s"
    HEART_RATE = "heart_rate_bpm"
    CADENCE = "cadence_rpm"
    RESISTANCE = "resistance"
    POWER = "power_watts"


class Resolution(StrEnum):
    """How finely readings are told."""

    SECOND = "1s"
    TEN_SECONDS = "10s"
    MINUTE = "1min"

    @property
    def seconds(self) -> int:
        """Seconds a row."""
        return {"1s": 1, "10s": 10, "1min": 60}[self.value]


class Parameters(BaseModel):
    """No parameters at all, and the root of all that have some."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    def given(self) -> dict[str, str]:
        """The parameters that were given, as they would be written in an address."""
        told = self.model_dump(mode="json", by_alias=True, exclude_unset=True)
        return {name: _written(value) for name, value in told.items() if value is not None}


def _written(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


class Span(Parameters):
    """A span of time: one company day, or from a moment (included) to another (not)."""

    on: IsoDate | None = Field(
        None,
        alias="date",
        description="One day of the company's time zone, instead of `from_at` and `to_at`.",
    )
    from_at: IsoTime | None = Field(None, description="From this moment on (ISO 8601 with a zone).")
    to_at: IsoTime | None = Field(None, description="Before this moment (ISO 8601 with a zone).")

    @model_validator(mode="after")
    def _can_be_meant(self) -> Self:
        if self.on is not None and (self.from_at is not None or self.to_at is not None):
            raise ValueError("date: give either a date, or from_at and to_at")
        if self.from_at is not None and self.to_at is not None and self.from_at >= self.to_at:
            raise ValueError("from_at: must lie before to_at")
        return self

    def bounds(self, zone: ZoneInfo) -> tuple[datetime | None, datetime | None]:
        """From and to, in UTC; None is open."""
        if self.on is not None:
            return day_bounds(self.on, zone)
        return self.from_at, self.to_at


class Page(Parameters):
    """A part of a list that is read page by page."""

    limit: Annotated[int, Field(ge=1, le=LARGEST_PAGE), _WHOLE] | None = Field(
        None,
        description=f"Rows a page; {DEFAULT_PAGE} in JSON. CSV holds every row unless it is given.",
    )
    cursor: CursorText | None = Field(
        None, description="Where a page ended. Take it from `next`; keep the other parameters."
    )


class RiderRidesParameters(Span, Page):
    """A rider's rides."""

    bike: Words | None = Field(None, description="The bike's serial.", examples=["SN0000"])
    status: RideStatus | None = Field(None, description="Rides in progress, or those that ended.")
    sort: RideSort = Field(
        RideSort.NEWEST,
        description="By start, or by a total of ended rides; a minus: highest or newest first.",
    )


class OfRiders(Parameters):
    """What is asked of riders."""

    gender: Gender | None = Field(None, description="The rider's gender.")
    min_age: _Age | None = Field(
        None, description="The rider's age today, not in the ride, at least (years)."
    )
    max_age: _Age | None = Field(
        None, description="The rider's age today, not in the ride, at most (years)."
    )
    town: Words | None = Field(
        None,
        description="The town in the rider's address, in any case of letters. Needs the scope "
        "`personal`.",
    )

    @model_validator(mode="after")
    def _ages_can_be_meant(self) -> Self:
        if self.min_age is not None and self.max_age is not None and self.min_age > self.max_age:
            raise ValueError("min_age: must not be above max_age")
        return self


class RidersParameters(OfRiders, Page):
    """Which riders."""


class RidesParameters(OfRiders, RiderRidesParameters):
    """Which rides, in which order."""

    rider_id: Id | None = Field(None, description="Who rode.")
    gender: Gender | None = Field(
        None, description="Of the rider; `unknown` also finds rides whose rider is not known."
    )


class BikesParameters(Page):
    """Which bikes."""

    bike: Words | None = Field(None, description="The bike's serial.", examples=["SN0000"])
    firmware: Words | None = Field(None, description="The version that runs on the bike.")


class LiveParameters(Parameters):
    """Which rides in progress."""

    bike: Words | None = Field(None, description="The bike's serial.", examples=["SN0000"])
    rider_id: Id | None = Field(None, description="Who rides.")
    town: Words | None = Field(
        None,
        description="The town in the rider's address, in any case of letters. Needs the scope "
        "`personal`.",
    )
    alerted: YesOrNo | None = Field(
        None,
        description="Rides in which a heart rate left the rider's limits (`/v1/alerts` tells which "
        "and when), or those in which none did.",
    )


class LivePageParameters(LiveParameters):
    """Which rides in progress, page by page."""

    limit: Annotated[int, Field(ge=1, le=LARGEST_LIVE_PAGE), _WHOLE] = Field(
        DEFAULT_LIVE_PAGE, description="Rides a page."
    )
    cursor: CursorText | None = Field(
        None, description="Where a page ended. Take it from `next`; keep the other parameters."
    )


class ReadingsParameters(Parameters):
    """Which readings of a ride, how finely, and what of them."""

    resolution: Resolution | None = Field(
        None,
        description="How finely: `1s` gives the readings themselves, `10s` and `1min` the means "
        "of so much time from the ride's start on.",
    )
    resolution_s: Annotated[int, Field(ge=1, le=3600), _WHOLE] | None = Field(
        None,
        description="The same in seconds, for any number of them, instead of `resolution`; "
        "default: 1.",
    )
    columns: Annotated[tuple[ReadingColumn, ...], Field(min_length=1)] | None = Field(
        None,
        description="What is told beside `at`, as names with commas between them: "
        "`power_watts,heart_rate_bpm`, or without units: `power,heart_rate`; default: all.",
    )
    limit: Annotated[int, Field(ge=1, le=LARGEST_READINGS_PAGE), _WHOLE] | None = Field(
        None,
        description=f"Rows a page; {DEFAULT_READINGS_PAGE} in JSON. CSV holds every row unless "
        "it is given.",
    )
    cursor: CursorText | None = Field(
        None, description="Where a page ended. Take it from `next`; keep the other parameters."
    )

    _split = field_validator("columns", mode="before")(_names_of_columns)

    @model_validator(mode="after")
    def _resolution_can_be_meant(self) -> Self:
        if self.resolution is not None and self.resolution_s is not None:
            raise ValueError("resolution: give either resolution or resolution_s")
        return self

    @property
    def step_s(self) -> int:
        """Seconds a row."""
        return self.resolution.seconds if self.resolution else self.resolution_s or 1

    @property
    def told(self) -> tuple[ReadingColumn, ...]:
        """The columns to tell, in the order of the document."""
        return tuple(each for each in ReadingColumn if not self.columns or each in self.columns)


class SeriesParameters(ReadingsParameters):
    """The same of a series."""

    limit: Annotated[int, Field(ge=1, le=LARGEST_READINGS_PAGE), _WHOLE] | None = Field(
        None,
        description=f"Values a page and array; {LARGEST_READINGS_PAGE} in JSON. CSV holds every "
        "one unless it is given.",
    )


class AlertsParameters(Span, Page):
    """Which heart-rate alerts."""

    rider_id: Id | None = Field(None, description="Whose heart rate it was.")
    ride_id: Id | None = Field(None, description="In which ride.")
    bike: Words | None = Field(None, description="The serial of the bike.", examples=["SN0000"])
    level: AlertLevel | None = Field(None, description="How it was abnormal.")
    state: AlertState | None = Field(None, description="What became of the mail.")


class ChangesParameters(Parameters):
    """From where on, and how many."""

    after: Id | None = Field(
        None,
        description="The `last_change_id` of the page before; 0: from the oldest that is kept. "
        "Without it nothing is listed, and `last_change_id` says where the feed stands.",
    )
    limit: Annotated[int, Field(ge=1, le=LARGEST_PAGE), _WHOLE] | None = Field(
        None, description=f"Changes a page; {DEFAULT_PAGE} unless it is given."
    )


class DeliveryState(StrEnum):
    """What became of a webhook's message."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"


class WebhookState(StrEnum):
    """Whether a webhook's messages are sent."""

    ON = "on"
    OFF = "off"


class WebhookEnd(StrEnum):
    """Why a webhook was switched off."""

    DEAD = "dead"
    GONE = "gone"


class DeliveriesParameters(Page):
    """Which of a webhook's messages."""

    state: DeliveryState | None = Field(None, description="What became of them.")


class NewWebhook(Parameters):
    """What a webhook is to be; it is sent as JSON."""

    url: str = Field(
        min_length=1,
        max_length=LONGEST_URL,
        description="Where messages go: `https://`, to a public address.",
        examples=["https://partner.example.com/deloton"],
    )
    kinds: Annotated[list[ChangeKind], Field(min_length=1, max_length=len(ChangeKind))] | None = (
        Field(None, description="Which changes are told; without it all are.")
    )


class SwitchOnParameters(Parameters):
    """From where on a webhook is told again."""

    from_now: YesOrNo = Field(
        False,
        description="`true`: it is told what changes from now on, and of nothing before that has "
        "no message yet.",
    )


class DailyParameters(Parameters):
    """Which day."""

    on: IsoDate | None = Field(
        None, alias="date", description="A day of the company's time zone; default: yesterday."
    )


class LeaderboardParameters(Parameters):
    """Who leads, in what, when."""

    metric: LeaderMetric = Field(
        LeaderMetric.MAX_POWER, description="The total of a ride that is ranked."
    )
    period: Period = Field(Period.WEEK, description="When the rides started.")
    on: IsoDate | None = Field(
        None, alias="date", description="A day within the period; default: today."
    )
    limit: Annotated[int, Field(ge=1, le=100), _WHOLE] = Field(10, description="How many riders.")


class BestPowersParameters(Parameters):
    """Over which of a rider's rides."""

    from_at: IsoTime | None = Field(
        None, description="Rides from this moment on; default: 90 days before `to_at`."
    )
    to_at: IsoTime | None = Field(
        None, description="Rides before this moment; default: the end of the company's day."
    )

    def span(self, tonight: datetime) -> tuple[datetime, datetime]:
        """From and to; raises `ValueError` where that is no span, or more than 366 days.

        `tonight` is the end of today: so an answer stays the same for as long as its rides do.
        """
        to_at = self.to_at or tonight
        from_at = self.from_at or to_at - timedelta(days=90)
        if from_at >= to_at:
            raise ValueError("must lie before to_at")
        if to_at - from_at > LONGEST_CURVE:
            raise ValueError(f"must lie within {LONGEST_CURVE.days} days before to_at")
        return from_at, to_at


class ReasonParameters(Parameters):
    """Why something is deleted or handed out."""

    reason: Reason | None = Field(
        None,
        description="Why: kept in the audit beside your key and the time. No personal data here.",
    )
