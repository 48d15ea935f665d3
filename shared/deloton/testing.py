"""CORE: for tests: builders that state only what matters, and fakes that record.

Times are given in seconds since `START_AT`. A ride's lines, as built here, come when bikes send
them: the Ride line of second n at n, its Telemetry line half a second later.
"""

import json
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
from msgspec import Struct

from deloton.events import Address, Gender, Rider
from deloton.feed.assembly import Assembled, Reading, Ride, Started, Stream
from deloton.feed.assembly.late import place
from deloton.feed.log_lines import (
    LogLine,
    Marker,
    RideAnnounced,
    RideLine,
    RiderRequested,
    TelemetryLine,
)

START_AT = datetime(2026, 3, 2, 9, 15, tzinfo=UTC)
# When records come of which nobody says when.
CAME_IN_BULK_AT = datetime(2090, 1, 1, tzinfo=UTC)
BIKE = "SN0000"
FIRMWARE = "mendoza v9"
MARKER_TEXTS = ("--------- beginning of main\n", "--------- beginning of a new ride\n")

_EPOCH_DAY = date(1970, 1, 1)


def at(seconds: float) -> datetime:
    """The moment so many seconds after `START_AT`."""
    return START_AT + timedelta(seconds=seconds)


def a_rider(rider_id: int = 7001, **changes: Any) -> Rider:  # noqa: ANN401 - fields of any type
    """A rider of whom everything is known."""
    rider = Rider(
        rider_id=rider_id,
        title="Ms",
        first_name="Ada",
        last_name="Example",
        gender=Gender.FEMALE,
        born_on=date(1959, 5, 2),
        email="ada@example.com",
        height_cm=171,
        weight_kg=64,
        address=Address("Flat 9b", "Example lane", "Exampleton", "EX4 4MP"),
        account_created_on=date(2022, 1, 4),
        original_source="google ads",
    )
    return msgspec.structs.replace(rider, **changes)


def an_announcement(
    at_s: float = 0.0, *, bike_serial: str | None = BIKE, rider: Rider | None = None
) -> RideAnnounced:
    """The line that begins a ride; `rider` None: it does not tell who rides."""
    return RideAnnounced(at(at_s), FIRMWARE, bike_serial, rider)


def a_ride_line(
    elapsed_s: float = 1.0, *, at_s: float | None = None, resistance: int = 30
) -> RideLine:
    """The first half of a reading."""
    return RideLine(at(elapsed_s if at_s is None else at_s), elapsed_s, resistance)


def a_telemetry_line(
    at_s: float = 1.5,
    *,
    heart_rate_bpm: int | None = 120,
    cadence_rpm: int = 60,
    power_watts: float = 100.0,
) -> TelemetryLine:
    """The second half of a reading."""
    return TelemetryLine(at(at_s), heart_rate_bpm, cadence_rpm, power_watts)


def a_second(elapsed_s: float = 1.0, *, began_s: float = 0.0) -> list[LogLine]:
    """Both halves of one reading of a ride that began at `began_s`."""
    at_s = began_s + elapsed_s
    return [a_ride_line(elapsed_s, at_s=at_s), a_telemetry_line(at_s + 0.5)]


def seconds_of_a_ride(first: int, last: int, *, began_s: float = 0.0) -> list[LogLine]:
    """All lines of the seconds `first` to `last`."""
    return [
        line
        for elapsed_s in range(first, last + 1)
        for line in a_second(elapsed_s, began_s=began_s)
    ]


def a_whole_ride(
    seconds: int = 3, *, began_s: float = 0.0, rider: Rider | None = None, bike_serial: str = BIKE
) -> list[LogLine]:
    """Every line of a ride, from the markers on."""
    return [
        Marker(),
        Marker(),
        RiderRequested(at(began_s - 0.5)),
        an_announcement(began_s, bike_serial=bike_serial, rider=rider),
        *seconds_of_a_ride(1, seconds, began_s=began_s),
    ]


def a_ride(ride_id: int = 1, *, started_s: float = 0.0, rider_id: int | None = None) -> Ride:
    """A ride that has been stored."""
    ride = Ride.begin(BIKE.encode(), BIKE, at(started_s), rider_id)
    ride.ride_id = ride_id
    return ride


def a_reading(
    ride: Ride | None = None,
    at_s: float = 1.5,
    *,
    elapsed_s: float | None = 1.0,
    resistance: int | None = 30,
    heart_rate_bpm: int | None = 120,
    cadence_rpm: int | None = 60,
    power_watts: float | None = 100.0,
) -> Reading:
    """A reading of which both halves came."""
    ride = ride or a_ride()
    return Reading(
        ride=ride,
        at=at(at_s),
        elapsed_s=elapsed_s,
        heart_rate_bpm=heart_rate_bpm,
        cadence_rpm=cadence_rpm,
        resistance=resistance,
        power_watts=power_watts,
    )


def a_start(
    started_s: float = 0.0, *, rider: Rider | None = None, bike_serial: str = BIKE
) -> Started:
    """The start of a ride that is not stored yet."""
    rider_id = rider.rider_id if rider else None
    ride = Ride.begin(bike_serial.encode(), bike_serial, at(started_s), rider_id)
    return Started(ride, FIRMWARE, rider)


def assembled(lines: Sequence[LogLine], stream: Stream | None = None) -> Assembled:
    """What becomes of the lines of one stream, none of which may be refused.

    Nothing is stored of it: late lines are placed by what the lines themselves have told.
    """
    out = told(lines, stream)
    if out.refused:
        raise AssertionError(f"refused: {out.refused}")
    place(out, {})
    return out


def told(lines: Sequence[LogLine], stream: Stream | None = None) -> Assembled:
    """What the lines of one stream come to before late ones are placed."""
    stream = stream or Stream(BIKE.encode())
    out = Assembled()
    for number, line in enumerate(lines):
        stream.accept(line, a_record(offset=number), out)
    return out


class FakeRecord(Struct, frozen=True, kw_only=True):
    """A Kafka record with what we read of one."""

    offset: int
    key: bytes | None
    value: bytes | None
    timestamp: int
    headers: Sequence[tuple[str, bytes]] = ()


def a_record(
    value: bytes | None = None,
    *,
    offset: int = 0,
    key: bytes | None = BIKE.encode(),
    headers: Sequence[tuple[str, bytes]] = (),
    came_s: float | None = None,
) -> FakeRecord:
    """A record with a value that is taken as it is.

    It came `came_s` after `START_AT`; None: with many others at once, years later.
    """
    came_at = CAME_IN_BULK_AT if came_s is None else at(came_s)
    timestamp = int(came_at.timestamp() * 1000) + (offset if came_s is None else 0)
    return FakeRecord(offset=offset, key=key, value=value, timestamp=timestamp, headers=headers)


def records_of(
    lines: Sequence[LogLine], *, first_offset: int = 0, key: bytes | None = BIKE.encode()
) -> list[FakeRecord]:
    """Consecutive records of one stream, a line each."""
    return [
        a_record(a_message_of(line), offset=offset, key=key)
        for offset, line in enumerate(lines, first_offset)
    ]


def a_message(text: str) -> bytes:
    """The value of a Kafka message that bears this text, as bikes wrap it."""
    return json.dumps({"log": text}).encode()


def a_stamped_message(text: str, *, at_s: float = 0.0, firmware: str = FIRMWARE) -> bytes:
    """A message whose line has a stamp, the firmware's tag, and this text."""
    return a_message(f"{stamp(at(at_s))} {firmware}: {text}\n")


def a_system_message(payload: object, *, at_s: float = 0.0) -> bytes:
    """A `[SYSTEM]` message with a payload of any shape."""
    compact = json.dumps(payload, separators=(",", ":"))
    return a_stamped_message(f"[SYSTEM] data = {compact}", at_s=at_s)


def a_message_of(line: LogLine) -> bytes:
    """The message that is parsed into this line."""
    if isinstance(line, Marker):
        return a_message(MARKER_TEXTS[1])
    return a_message(f"{stamp(line.at)} {FIRMWARE}: {_text_of(line)}\n")


def _text_of(line: RiderRequested | RideAnnounced | RideLine | TelemetryLine) -> str:
    match line:
        case RiderRequested():
            return "Getting user data from server.."
        case RideAnnounced():
            return f"[SYSTEM] data = {json.dumps(payload_of(line), separators=(',', ':'))}"
        case RideLine():
            return f"[INFO]: Ride - duration = {line.elapsed_s}; resistance = {line.resistance}"
        case TelemetryLine():
            return (
                f"[INFO]: Telemetry - hrt = {line.heart_rate_bpm or 0}; rpm = {line.cadence_rpm}; "
                f"power = {line.power_watts}"
            )


def payload_of(line: RideAnnounced) -> dict[str, object]:
    """The user data of a `[SYSTEM]` line; what is not known is left out."""
    rider = line.rider or Rider(rider_id=-1)
    address = rider.address
    parts = (address.flat, address.street, address.town, address.postcode)
    payload: dict[str, object] = {
        "user_id": line.rider and rider.rider_id,
        "name": " ".join(filter(None, (rider.title, rider.first_name, rider.last_name))),
        "gender": str(rider.gender),
        "address": ",".join(filter(None, parts)),
        "date_of_birth": epoch_ms(rider.born_on),
        "email_address": rider.email,
        "height_cm": rider.height_cm,
        "weight_kg": rider.weight_kg,
        "account_create_date": epoch_ms(rider.account_created_on),
        "bike_serial": line.bike_serial,
        "original_source": rider.original_source,
    }
    return {name: value for name, value in payload.items() if value is not None}


def epoch_ms(day: date | None) -> int | None:
    """The milliseconds from 1970 to a day's UTC midnight; negative before."""
    return (day - _EPOCH_DAY).days * 86_400_000 if day else None


def stamp(moment: datetime) -> str:
    """A moment as bikes write it: `2026-03-02 09:15:00.422392`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")


class ManualClock:
    """A clock that stands still until it is told to go on."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        """Seconds."""
        return self.now

    def pass_by(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds
