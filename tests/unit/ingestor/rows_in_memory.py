"""The ingestor's tables as dictionaries: what `store` writes, and what it reads back."""

from datetime import datetime, timedelta
from itertools import count
from typing import Any

from deloton.assembly import Assembled, Reading, Ride, Started, Stream
from deloton.events import EndReason

RESTORED_WITHIN = timedelta(days=2)


class RowsInMemory:
    """Rides by bike and start, readings by ride and stamp, each stream's last ride."""

    def __init__(self) -> None:
        self.rides: dict[tuple[str, datetime], dict[str, Any]] = {}
        self.readings: dict[tuple[int, datetime], tuple[Any, ...]] = {}
        self.streams: dict[bytes, tuple[str, int, Ride | None]] = {}
        self.events: list[tuple[str, int]] = []
        self.notes = b""
        self._ids = count(1)

    def store(self, assembled: Assembled, notes: bytes) -> None:
        """What a batch's transactions do."""
        for start in assembled.started:
            self._store_ride(start)
        for change in assembled.changes:
            self.events.append((type(change).__name__, id_of(change.ride)))
        for reading in assembled.readings:
            self.readings.setdefault((id_of(reading.ride), reading.at), values_of(reading))
        for stream in assembled.moved.values():
            if stream.ride is not None:
                ride_id = id_of(stream.ride)
                self.streams[stream.key] = stream.bike_serial, ride_id, stream.previous
        for ride in assembled.settled.values():
            row = self.rides[ride.bike_serial, ride.started_at]
            row["ended_at"], row["end_reason"] = ride.ended_at, ride.end_reason
            row["count"] = self._count(ride) if ride.ended_at else None
        self.notes = notes

    def restore(self) -> list[Stream]:
        """The streams as another worker finds them."""
        return [self._restore_stream(key) for key in self.streams]

    def _store_ride(self, start: Started) -> None:
        ride = start.ride
        key = ride.bike_serial, ride.started_at
        if key not in self.rides:
            fresh = dict.fromkeys(("ended_at", "end_reason", "count", "rider_id"))
            self.rides[key] = {"ride_id": next(self._ids), **fresh}
        row = self.rides[key]
        row["ended_at"] = row["end_reason"] = row["count"] = None
        row["rider_id"] = row["rider_id"] or ride.rider_id
        ride.ride_id = row["ride_id"]

    def _count(self, ride: Ride) -> int:
        first, last = ride.span
        return sum(number == ride.ride_id and first <= at <= last for number, at in self.readings)

    def _restore_stream(self, key: bytes) -> Stream:
        serial, ride_id, previous = self.streams[key]
        [(bike, started_at)] = [
            ride for ride, row in self.rides.items() if row["ride_id"] == ride_id
        ]
        row = self.rides[bike, started_at]
        found = sorted(
            (at, values[0])
            for (number, at), values in self.readings.items()
            if number == ride_id and started_at <= at <= started_at + RESTORED_WITHIN
        )
        counted = [(at, elapsed_s) for at, elapsed_s in found if elapsed_s is not None]
        stream = Stream(key, serial)
        stream.previous = previous
        stream.announced = row["end_reason"] == EndReason.NEXT_RIDE
        stream.ride = Ride(
            stream_key=key,
            bike_serial=bike,
            started_at=started_at,
            rider_id=row["rider_id"],
            ride_id=ride_id,
            last_at=found[-1][0] if found else started_at,
            counted_at=counted[-1][0] if counted else started_at,
            elapsed_s=counted[-1][1] if counted else 0.0,
            ended_at=row["ended_at"],
            end_reason=EndReason(row["end_reason"]) if row["end_reason"] else None,
        )
        return stream


def id_of(ride: Ride) -> int:
    """The id that a stored ride has."""
    assert ride.ride_id is not None
    return ride.ride_id


def values_of(reading: Reading) -> tuple[Any, ...]:
    """What was measured."""
    return (
        reading.elapsed_s,
        reading.resistance,
        reading.heart_rate_bpm,
        reading.cadence_rpm,
        reading.power_watts,
    )
