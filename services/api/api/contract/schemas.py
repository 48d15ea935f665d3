"""CORE: what answers look like: pydantic models that also make the OpenAPI document.

Times are ISO 8601 in UTC, units ride in the names, and null is what was not measured or is not
known. Fields that the scope `personal` opens are left out without it, never null.
"""

from datetime import date, datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, create_model

from api.contract.parameters import (
    AlertState,
    DeliveryState,
    LeaderMetric,
    Period,
    RideStatus,
    WebhookEnd,
    WebhookState,
)
from deloton.events import EndReason, Gender
from deloton.rules.changes import ChangeKind
from deloton.rules.figures import FIGURES, Figure, Number
from deloton.rules.heart_rate import AlertLevel, LimitPolicy, limits_of

_TIME = "2026-03-02T09:15:00.922427Z"
# The high one, of a rider of the age that the other examples tell.
_LIMIT = limits_of(66, LimitPolicy())[1]
_AGE = "In full years, today; not the age in a ride. Null: the birthday is not known."
_PERSONAL = "With the scope `personal` only."


class Answer(BaseModel):
    """The root of every answer."""

    # What a rider is called must not come to a log by an error.
    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)


class RiderBrief(Answer):
    """Who rode."""

    rider_id: int = Field(examples=[7001])
    gender: Gender = Field(examples=["female"])
    age_years: int | None = Field(description=_AGE, examples=[66])
    name: str | None = Field(None, description=_PERSONAL, examples=["Ms Ada Example"])


class _RideFacts(Answer):
    ride_id: int = Field(examples=[4711])
    status: RideStatus = Field(examples=["ended"])
    bike_serial: str = Field(examples=["SN0000"])
    rider: RiderBrief | None = Field(description="Null: who rode is not known.")
    started_at: datetime = Field(examples=[_TIME])
    ended_at: datetime | None = Field(
        description="The time of the last reading.", examples=["2026-03-02T09:23:41.500000Z"]
    )
    end_reason: EndReason | None = Field(
        description="No bike says that a ride ended: the next one began, or it fell silent.",
        examples=["next_ride"],
    )


def _field_of(figure: Figure) -> tuple[Any, Any]:
    number = float if figure.number is Number.REAL else int
    return number | None, Field(description=figure.meaning, examples=[number(figure.example)])


_FIGURES: dict[str, Any] = {figure.name: _field_of(figure) for figure in FIGURES if figure.in_api}
_RideFigures = create_model("_RideFigures", __base__=_RideFacts, **_FIGURES)


class Ride(_RideFigures):  # type: ignore[misc, valid-type]  # its fields are the declared figures
    """A ride; all its totals are null while it goes on."""


class RidePage(Answer):
    """A page of rides."""

    rides: list[Ride]
    next: str | None = Field(
        description="The address of the following page; null on the last one.",
        examples=["/v1/rides?limit=100&cursor=WyJmNGU2Il0"],
    )


class HeartRateZone(Answer):
    """A training zone and the time spent in it (Edwards 1993: bands of the expected maximum)."""

    zone: int = Field(examples=[3])
    name: str = Field(examples=["moderate"])
    from_bpm: float = Field(description="Included.", examples=[113.3])
    to_bpm: float | None = Field(description="Not included; null: open.", examples=[129.4])
    duration_s: int = Field(examples=[184])


class BestPower(Answer):
    """The best mean power over so many seconds in a row."""

    span_s: int = Field(examples=[20])
    power_watts: float = Field(examples=[612.4])
    power_watts_per_kg: float | None = Field(
        description="By the rider's present weight.", examples=[9.57]
    )
    ride_id: int = Field(examples=[4711])
    ended_at: datetime = Field(description="When the effort ended.", examples=[_TIME])


class RideDetails(Ride):
    """A ride with what its readings tell."""

    expected_maximum_bpm: float | None = Field(
        description="By the rider's age at the ride: 211 − 0.64·age to 40 (Nes et al. 2013), "
        "208 − 0.7·age above (Tanaka et al. 2001). Null: the age is not known.",
        examples=[161.8],
    )
    heart_rate_zones: list[HeartRateZone] | None = Field(
        description="Five zones of the expected maximum; null where that is not known."
    )
    best_powers: list[BestPower] = Field(
        description="Over 5 s, 20 s, 60 s and 5 min; spans that the ride never lasted are left "
        "out, and so are those of which more than a tenth was not measured."
    )
    mean_power_watts_per_kg: float | None = Field(
        description="By the rider's present weight.", examples=[1.85]
    )


class Reading(Answer):
    """One second of a ride, or the mean of several; what `columns` does not name is left out."""

    at: datetime = Field(
        description="The reading's time; of several seconds, their beginning.", examples=[_TIME]
    )
    elapsed_s: float | None = Field(
        None,
        description="Seconds since the ride began, by the bike's count; of several, the last's.",
        examples=[1.0],
    )
    heart_rate_bpm: float | None = Field(
        None, description="Null: no hands on the bar.", examples=[126.0]
    )
    cadence_rpm: float | None = Field(None, examples=[38.0])
    resistance: float | None = Field(None, description="The bike's own level.", examples=[30.0])
    power_watts: float | None = Field(None, examples=[8.962429663])


class ReadingPage(Answer):
    """A page of a ride's readings, oldest first."""

    ride_id: int = Field(examples=[4711])
    resolution_s: int = Field(examples=[1])
    readings: list[Reading]
    next: str | None = Field(
        description="The address of the following page; null on the last one.", examples=[None]
    )


class Series(Answer):
    """Readings as arrays of equal length; what `columns` does not name is left out."""

    at: list[datetime] = Field(description="See `Reading`, as for all others.", examples=[[_TIME]])
    elapsed_s: list[float | None] = Field(default_factory=list, examples=[[1.0]])
    heart_rate_bpm: list[float | None] = Field(default_factory=list, examples=[[126.0]])
    cadence_rpm: list[float | None] = Field(default_factory=list, examples=[[38.0]])
    resistance: list[float | None] = Field(default_factory=list, examples=[[30.0]])
    power_watts: list[float | None] = Field(default_factory=list, examples=[[8.962429663]])


class SeriesPage(Answer):
    """A page of a ride's readings as arrays, oldest first."""

    ride_id: int = Field(examples=[4711])
    resolution_s: int = Field(examples=[10])
    series: Series
    next: str | None = Field(
        description="The address of the following page; null on the last one.", examples=[None]
    )


class Address(Answer):
    """A rider's address."""

    flat: str | None = Field(examples=["Flat 9b"])
    street: str | None = Field(examples=["Example lane"])
    town: str | None = Field(examples=["Exampleton"])
    postcode: str | None = Field(examples=["EX4 4MP"])


class PersonalBest(Answer):
    """The highest that a total of one of the rider's rides ever was."""

    metric: str = Field(examples=["max_power_watts"])
    value: float = Field(description="In the unit that ends its name.", examples=[905.3])
    value_per_kg: float | None = Field(
        description="Of powers, by the rider's present weight.", examples=[14.1]
    )
    ride_id: int = Field(examples=[4711])
    started_at: datetime = Field(examples=[_TIME])


class Rider(Answer):
    """A rider and what all rides come to."""

    rider_id: int = Field(examples=[7001])
    name: str | None = Field(None, description=_PERSONAL, examples=["Ms Ada Example"])
    gender: Gender = Field(examples=["female"])
    age_years: int | None = Field(description=_AGE, examples=[66])
    date_of_birth: date | None = Field(None, description=_PERSONAL, examples=["1959-05-02"])
    email: str | None = Field(None, description=_PERSONAL, examples=["ada@example.com"])
    address: Address | None = Field(None, description=_PERSONAL)
    height_cm: float | None = Field(examples=[171.0])
    weight_kg: float | None = Field(examples=[64.0])
    expected_maximum_bpm: float | None = Field(
        description="The heart rate to expect at most at the present age.", examples=[161.8]
    )
    ride_count: int = Field(description="Rides in progress too.", examples=[38])
    first_ride_at: datetime | None = Field(examples=[_TIME])
    last_ride_at: datetime | None = Field(examples=[_TIME])
    duration_s: float = Field(description="Of all rides that ended.", examples=[17640.0])
    energy_kj: float = Field(examples=[2104.7])
    mean_heart_rate_bpm: float | None = Field(
        description="Over all seconds with a heart rate.", examples=[128.9]
    )
    mean_power_watts: float | None = Field(description="Over all seconds.", examples=[119.3])
    mean_power_watts_per_kg: float | None = Field(examples=[1.86])
    personal_bests: list[PersonalBest]


class ListedRider(Answer):
    """A rider of a list."""

    rider_id: int = Field(examples=[7001])
    gender: Gender = Field(examples=["female"])
    age_years: int | None = Field(description=_AGE, examples=[66])
    name: str | None = Field(None, description=_PERSONAL, examples=["Ms Ada Example"])
    town: str | None = Field(None, description=_PERSONAL, examples=["Exampleton"])
    height_cm: float | None = Field(examples=[171.0])
    weight_kg: float | None = Field(examples=[64.0])
    last_ride_at: datetime | None = Field(
        description="When the newest ride began, be it in progress.", examples=[_TIME]
    )


class RiderPage(Answer):
    """A page of riders, by their numbers."""

    riders: list[ListedRider]
    next: str | None = Field(
        description="The address of the following page; null on the last one.", examples=[None]
    )


class Bike(Answer):
    """A bike that was ever ridden."""

    bike_serial: str = Field(
        description="`unknown:…` until the bike has told it.", examples=["SN0000"]
    )
    firmware: str | None = Field(description="The version that it told last.", examples=["1.4.2"])
    last_ride_id: int | None = Field(description="The newest ride.", examples=[4711])
    last_ride_at: datetime | None = Field(description="When that began.", examples=[_TIME])
    last_ride_status: RideStatus | None = Field(
        description="Whether that goes on.", examples=["ended"]
    )


class BikePage(Answer):
    """A page of bikes, by their serials."""

    bikes: list[Bike]
    next: str | None = Field(
        description="The address of the following page; null on the last one.", examples=[None]
    )


class PowerCurve(Answer):
    """A rider's power curve over a span of time."""

    rider_id: int = Field(examples=[7001])
    from_at: datetime = Field(examples=["2026-01-01T00:00:00Z"])
    to_at: datetime = Field(examples=["2026-04-01T00:00:00Z"])
    best_powers: list[BestPower]


class GenderTotals(Answer):
    """The rides of one gender."""

    gender: Gender = Field(examples=["female"])
    ride_count: int = Field(examples=[61])
    rider_count: int = Field(examples=[24])
    duration_s: float = Field(examples=[28330.0])


class Daily(Answer):
    """What the rides that started on a day come to."""

    day: date = Field(examples=["2026-03-02"])
    time_zone: str = Field(examples=["Europe/London"])
    from_at: datetime = Field(examples=["2026-03-02T00:00:00Z"])
    to_at: datetime = Field(examples=["2026-03-03T00:00:00Z"])
    ride_count: int = Field(description="Rides in progress too.", examples=[122])
    live_ride_count: int = Field(examples=[0])
    rider_count: int = Field(examples=[47])
    ride_count_without_rider: int = Field(examples=[1])
    reading_count: int = Field(description="This and all below: of ended rides.", examples=[56660])
    duration_s: float = Field(examples=[56660.0])
    total_power_watts: float = Field(
        description="The sum of all readings' watts.", examples=[6719876.0]
    )
    energy_kj: float = Field(examples=[6719.9])
    mean_power_watts: float | None = Field(examples=[118.6])
    max_power_watts: float | None = Field(examples=[1485.4])
    mean_heart_rate_bpm: float | None = Field(examples=[129.3])
    max_heart_rate_bpm: int | None = Field(examples=[170])
    by_gender: list[GenderTotals]
    rides: str = Field(
        description="The address of the day's rides.", examples=["/v1/rides?date=2026-03-02"]
    )


class Leader(Answer):
    """A rider's best ride of a period."""

    rank: int = Field(examples=[1])
    rider: RiderBrief
    value: float = Field(description="In the metric's unit.", examples=[1485.4])
    value_per_kg: float | None = Field(
        description="Of powers, by the rider's present weight.", examples=[18.6]
    )
    ride_id: int = Field(examples=[4711])
    started_at: datetime = Field(examples=[_TIME])


class Leaderboard(Answer):
    """Who leads; each rider once. Of equal rides the newer leads."""

    metric: LeaderMetric
    period: Period
    from_at: datetime | None = Field(description="Null: since ever.")
    to_at: datetime | None = Field(description="Null: until now.")
    leaders: list[Leader]


class LiveRide(Answer):
    """A ride in progress."""

    ride_id: int = Field(examples=[4711])
    bike_serial: str = Field(examples=["SN0000"])
    rider: RiderBrief | None = Field(description="Null: who rides is not known.")
    started_at: datetime = Field(examples=[_TIME])
    last_reading: Reading | None = Field(description="Null: none came yet.")


class LivePicture(Answer):
    """Rides in progress at a moment, the longest under way first."""

    at: datetime = Field(description="When the database was asked.", examples=[_TIME])
    rides: list[LiveRide]
    next: str | None = Field(
        description="The address of the following page; null on the last one.", examples=[None]
    )


class LiveReadings(Answer):
    """The newest readings of several rides: lists of the same length, a place in each a ride's."""

    ride_id: list[int]
    at: list[datetime | None]
    elapsed_s: list[float | None]
    heart_rate_bpm: list[float | None]
    cadence_rpm: list[float | None]
    resistance: list[float | None]
    power_watts: list[float | None]


class LiveEvent(Answer):
    """The data of an event `picture` or `changes`; what has nothing to tell is left out."""

    at: datetime
    rides: list[LiveRide] = Field(
        [], description="Rides that are new here, or whose rider came to be known: whole."
    )
    readings: LiveReadings | None = Field(None, description="Of rides that were told of before.")
    ended: list[int] = Field([], description="Rides that are no longer under way: their ids.")


class Alert(Answer):
    """An abnormal heart rate and the mail about it: at most one a ride and level."""

    alert_id: int = Field(examples=[12])
    ride_id: int = Field(examples=[4711])
    rider: RiderBrief | None
    level: AlertLevel = Field(examples=["high"])
    measured_at: datetime = Field(examples=[_TIME])
    heart_rate_bpm: int = Field(examples=[149])
    limit_bpm: float = Field(description="The rider's limit that it passed.", examples=[_LIMIT.bpm])
    limit_rule: str = Field(
        description="Where the limit comes from.",
        examples=[_LIMIT.rule],
    )
    state: AlertState = Field(examples=["sent"])
    settled_at: datetime | None = Field(
        description="When its end was known; null while it is pending or sending.", examples=[_TIME]
    )
    recovered_at: datetime | None = Field(
        description="When the heart rate was back to normal, where the alert was mailed and it "
        "stayed so while the rider rode; null: not seen.",
        examples=[_TIME],
    )
    recovery_state: AlertState | None = Field(
        description="What became of the mail that said so; null: there was none.",
        examples=["sent"],
    )


class AlertPage(Answer):
    """A page of alerts, newest first."""

    alerts: list[Alert]
    next: str | None = Field(
        description="The address of the following page; null on the last one.", examples=[None]
    )


class Change(Answer):
    """What became of a ride or a rider; of the two numbers the other is null."""

    change_id: int = Field(examples=[90210])
    kind: ChangeKind = Field(
        description="`ride.amended`: a ride that had ended has other figures, times or another "
        "rider; `ride.resumed`: it goes on after all; `rider.changed`: new, or told anew.",
        examples=["ride.ended"],
    )
    at: datetime = Field(description="When it was done, by our clock.", examples=[_TIME])
    ride_id: int | None = Field(examples=[4711])
    rider_id: int | None = Field(examples=[None])


class ChangePage(Answer):
    """A page of the feed of changes, oldest first."""

    changes: list[Change]
    last_change_id: int = Field(description="Ask `after` it next time.", examples=[90210])
    next: str | None = Field(
        description="The address of the following page; null where there is no more by now.",
        examples=[None],
    )


class Webhook(Answer):
    """Where changes are told, and how that goes."""

    webhook_id: int = Field(examples=[7])
    url: str = Field(examples=["https://partner.example.com/deloton"])
    kinds: list[ChangeKind] | None = Field(description="Null: every kind.", examples=[None])
    state: WebhookState = Field(examples=["on"])
    off_because: WebhookEnd | None = Field(
        description="`dead`: it took nothing for three days; `gone`: it answered 410.",
        examples=[None],
    )
    last_change_id: int = Field(description="Messages are made up to this one.", examples=[90210])
    failures: int = Field(description="Tries in a row that failed.", examples=[0])
    failing_since: datetime | None = Field(examples=[None])
    waiting: int = Field(description="Messages that are pending.", examples=[0])
    created_at: datetime = Field(examples=[_TIME])
    former_secret_until: datetime | None = Field(
        description="Until then the secret of before signs, too.", examples=[None]
    )


class WebhookWithSecret(Webhook):
    """A webhook whose secret is new: it is told this once."""

    secret: str = Field(
        description="What messages are signed with, as libraries of Standard Webhooks take it.",
        examples=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
    )


class WebhookList(Answer):
    """The webhooks of a key, oldest first."""

    webhooks: list[Webhook]


class Delivery(Answer):
    """A webhook's message, and what became of it."""

    delivery_id: int = Field(examples=[815])
    change_id: int = Field(examples=[90210])
    kind: ChangeKind = Field(examples=["ride.ended"])
    ride_id: int | None = Field(examples=[4711])
    rider_id: int | None = Field(examples=[None])
    state: DeliveryState = Field(
        description="`failed`: given up after three days.", examples=["delivered"]
    )
    attempts: int = Field(examples=[1])
    last_status: int | None = Field(description="Of the last try's answer.", examples=[204])
    last_error: str | None = Field(description="Why it was not taken.", examples=[None])
    created_at: datetime = Field(examples=[_TIME])
    next_try_at: datetime | None = Field(description="Null: it is settled.", examples=[None])
    settled_at: datetime | None = Field(description="Null: it is pending.", examples=[_TIME])


class DeliveryPage(Answer):
    """A page of a webhook's messages, newest first."""

    deliveries: list[Delivery]
    next: str | None = Field(
        description="The address of the following page; null on the last one.", examples=[None]
    )


class Health(Answer):
    """How the service is."""

    healthy: bool


class ProblemKind(Answer):
    """What a kind of problem means."""

    type: str = Field(examples=["/problems/not-found"])
    status: int = Field(examples=[404])
    title: str
    meaning: str


class ExportedReading(Answer):
    """A second of a ride as it is stored."""

    at: datetime
    elapsed_s: float | None
    heart_rate_bpm: int | None
    cadence_rpm: int | None
    resistance: int | None
    power_watts: float | None


class ExportedRide(Answer):
    """A ride as it is stored, with its readings."""

    model_config = ConfigDict(extra="allow")

    ride_id: int
    bike_serial: str
    started_at: datetime
    ended_at: datetime | None
    readings: list[ExportedReading]


class Export(Answer):
    """Everything held about a person: rows as they are stored, a field a column."""

    exported_at: datetime
    rider: dict[str, Any]
    own_limits: dict[str, Any] | None = Field(description="Heart-rate limits agreed with a doctor.")
    refused_addresses: list[dict[str, Any]] = Field(
        description="Addresses that alerts go to no more: mail bounced, or its owner complained."
    )
    alerts: list[dict[str, Any]] = Field(description="Heart-rate alerts and their mails.")
    recoveries: list[dict[str, Any]] = Field(
        description="Hearts that were back to normal after alerts, and the mails about it."
    )
    staff_notes: list[dict[str, Any]] = Field(
        description="What staff noted when they saw to a danger, and when."
    )
    audit: list[dict[str, Any]] = Field(
        description="What was deleted or handed out, by which key, when and why."
    )
    rides: list[ExportedRide] = Field(description="Oldest first.")


class ExportState(StrEnum):
    """How far an export is."""

    QUEUED = "queued"
    RUNNING = "running"
    READY = "ready"
    FAILED = "failed"
    EXPIRED = "expired"


class ExportStatus(Answer):
    """An export that is made in the background."""

    export_id: int = Field(examples=[17])
    rider_id: int = Field(examples=[7001])
    state: ExportState = Field(
        description="`failed`: ask for it again. `expired`: its file was removed.",
        examples=["ready"],
    )
    requested_at: datetime = Field(examples=[_TIME])
    finished_at: datetime | None = Field(
        description="When it was ready, or had failed.", examples=[_TIME]
    )
    expires_at: datetime | None = Field(
        description="When its file is removed, or was.", examples=["2026-03-03T09:15:00Z"]
    )
    size_bytes: int | None = Field(description="Of the file, compressed.", examples=[4_200_000])
    url: str | None = Field(
        description="An address that opens the file without a key, for a quarter of an hour: the "
        "export as JSON, compressed by gzip. Ask again for another. Null: it is not ready.",
        examples=["https://exports.example.com/exports/export-17-1.json.gz?X-Amz-Signature=…"],
    )
