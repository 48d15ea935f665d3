"""CORE: the facts of the domain: a rider takes a ride on a bike; a ride is a series of readings.

Times are aware and UTC; units ride in the names; what was not measured is `None`.
"""

from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

# What the columns that keep them hold; what a sensor shows is far within.
Id = Annotated[int, Meta(ge=0, le=2**63 - 1)]
HeartRateBpm = Annotated[int, Meta(ge=1, le=32_767)]
CadenceRpm = Annotated[int, Meta(ge=0, le=32_767)]
Moment = Annotated[datetime, Meta(tz=True)]

# What can be told as a time of day in every zone.
LAST_MOMENT = datetime(9999, 12, 30, tzinfo=UTC)
FIRST_MOMENT = datetime(1, 1, 3, tzinfo=UTC)


class Gender(StrEnum):
    """A rider's gender as given; whatever we do not know by name is `OTHER`."""

    FEMALE = "female"
    MALE = "male"
    OTHER = "other"
    UNKNOWN = "unknown"


class EndReason(StrEnum):
    """Why a ride is held to be over: no line ever says so."""

    NEXT_RIDE = "next_ride"
    SILENCE = "silence"


class Address(Struct, frozen=True):
    """The parts of a rider's address; `flat` is given for flats and studios alone."""

    flat: str | None = None
    street: str | None = None
    town: str | None = None
    postcode: str | None = None


class Rider(Struct, frozen=True):
    """A rider as the bike was told at the start of a ride. All but the id may be unknown."""

    rider_id: int
    title: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    gender: Gender = Gender.UNKNOWN
    born_on: date | None = None
    email: str | None = None
    height_cm: float | None = None
    weight_kg: float | None = None
    address: Address = Address()
    account_created_on: date | None = None
    original_source: str | None = None


class RideStarted(Struct, frozen=True, tag="ride_started", tag_field="event"):
    """A ride began. `rider_id` is None where the line that names the rider was not seen."""

    ride_id: int
    bike_serial: str
    started_at: Moment
    rider_id: int | None


class RideEnded(Struct, frozen=True, tag="ride_ended", tag_field="event"):
    """A ride is over; `ended_at` is the stamp of its last line.

    Told again with another reason, the later one is right.
    """

    ride_id: int
    bike_serial: str
    ended_at: Moment
    reason: EndReason


class RideResumed(Struct, frozen=True, tag="ride_resumed", tag_field="event"):
    """A ride that was held to be over goes on."""

    ride_id: int
    bike_serial: str
    resumed_at: Moment


RideEvent = RideStarted | RideEnded | RideResumed


class HeartRate(Struct, frozen=True):
    """One measured heart rate; seconds without hands on the bar give none.

    `cadence_rpm` tells a heart from the pedals' rhythm; None where it is not known, as in events of
    before. Read from JSON, what no row could hold is refused.
    """

    ride_id: Id
    rider_id: Id | None
    measured_at: Moment
    heart_rate_bpm: HeartRateBpm
    cadence_rpm: CadenceRpm | None = None
