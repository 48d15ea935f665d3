"""The ingestor's tables as dictionaries: what `store` writes, and what it reads back."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import count
from typing import Any

from deloton.events import EndReason
from deloton.feed.assembly import NO_STAMP, Assembled, Memory, Reading, Ride, Started, Stream
from deloton.feed.assembly.late import Seconds, place
from deloton.feed.assembly.memory import LOOK_AROUND
from deloton.feed.assembly.state import KEPT_RIDES
from ingestor.partition_state import Batch, PartitionState, Question, Record
from ingestor.past_rides import TAKEN_OVER_S

RESTORED_WITHIN = timedelta(days=2)
PAIR_WINDOW = timedelta(seconds=1)

Identity = tuple[str, datetime]


class RowsInMemory:
    """Rides by bike and first stamp, readings by ride and time, each stream's last ride."""

    def __init__(self) -> None:
        self.rides: dict[Identity, dict[str, Any]] = {}
        self.readings: dict[tuple[int, datetime], list[Any]] = {}
        self.streams: dict[bytes, tuple[str, int]] = {}
        self.events: list[tuple[str, int]] = []
        self.notes = b""
        self.repeats = 0
        self._ids = count(1)

    def next_worker(self) -> PartitionState:
        """What another worker finds."""
        streams = [self._restore_stream(key) for key in self.streams]
        return PartitionState(streams, self.notes, memory=Memory())

    def take(self, state: PartitionState, records: Sequence[Record]) -> Batch:
        """A batch, from its records to its rows."""
        known = state.strangers(records) & self.streams.keys()
        state.take_up([self._restore_stream(key) for key in known])
        batch = state.assemble(records, 0.0, lambda asked: self._answer(state.memory, asked))
        self.store(state, batch.assembled)
        return batch

    def store(self, state: PartitionState, assembled: Assembled) -> None:
        """What a batch's transactions do."""
        for start in assembled.started:
            self._store_ride(start)
        self._place(assembled)
        for change in assembled.changes:
            self.events.append((type(change).__name__, id_of(change.ride)))
        self._set_clocks(assembled)
        for reading in assembled.readings:
            key = id_of(reading.ride), reading.at
            assert key not in self.readings or self.readings[key] == values_of(reading)
            self.readings.setdefault(key, values_of(reading))
        for half in assembled.amended:
            self._amend(half)
        for stream_key, ride in assembled.moved.items():
            self.streams[stream_key] = ride.bike_serial, id_of(ride)
        for ride in assembled.settled.values():
            row = self.rides[ride.identity]
            row["ended_at"], row["end_reason"] = ride.ended_at, ride.end_reason
        for half in assembled.amended:
            row = self._row(id_of(half.ride))
            if row["ended_at"] is not None:
                row["ended_at"] = max(row["ended_at"], half.at)
        self.repeats += assembled.repeats
        self.notes = state.notes()
        state.forget_what_is_stored(assembled)

    def _answer(self, memory: Memory, question: Question) -> None:
        ended = [row for row in self.rides.values() if row["ended_at"] is not None]
        if question.stamp is None:
            newest = dict.fromkeys(question.serials, NO_STAMP)
            for row in ended:
                for beginning in row["beginnings"]:
                    stamp = beginning + (row["ended_at"] - row["started_at"])
                    newest[row["serial"]] = max(newest.get(row["serial"], NO_STAMP), stamp)
            memory.learn_newest({serial: newest[serial] for serial in question.serials})
            return
        [serial] = question.serials
        around = [
            row
            for row in ended
            if row["serial"] == serial
            and any(abs(each - question.stamp) <= LOOK_AROUND for each in row["beginnings"])
        ]
        memory.learn_rides(serial, question.stamp, [self._past(row) for row in around])

    def _past(self, row: dict[str, Any]) -> Ride:
        ahead = row["started_at"] - row["beginnings"][-1]
        counted = sorted(
            (at, values[0])
            for (number, at), values in self.readings.items()
            if number == row["ride_id"] and values[0] is not None
        )
        first_at, first_s = counted[0] if counted else (row["started_at"], 0.0)
        is_taken_over = first_s - (first_at - row["started_at"]).total_seconds() > TAKEN_OVER_S
        return Ride(
            stream_key=b"",
            bike_serial=row["serial"],
            started_at=row["started_at"],
            beginnings=list(row["beginnings"]),
            ahead=ahead,
            rider_id=row["rider_id"],
            ride_id=row["ride_id"],
            last_stamp=row["ended_at"] - ahead,
            counted_stamp=row["ended_at"] - ahead,
            elapsed_s=max((elapsed_s for _, elapsed_s in counted), default=0.0),
            from_s=first_s - 1.0 if is_taken_over else 0.0,
            ended_at=row["ended_at"],
        )

    def _place(self, assembled: Assembled) -> None:
        stored: dict[int, Seconds] = {}
        shifts = {ride.ride_id: by for ride, by in assembled.shifted.items()}
        for (ride_id, at), values in self.readings.items():
            moved = at + shifts.get(ride_id, timedelta(0))
            seconds = stored.setdefault(ride_id, Seconds())
            seconds.add(moved, values[0], is_whole=values[4] is not None)
        place(assembled, stored)

    def _store_ride(self, start: Started) -> None:
        ride = start.ride
        if ride.identity not in self.rides:
            fresh = dict.fromkeys(("ended_at", "end_reason", "rider_id"))
            self.rides[ride.identity] = {"ride_id": next(self._ids), **fresh}
        row = self.rides[ride.identity]
        row |= {"ended_at": None, "end_reason": None, "serial": ride.bike_serial}
        row |= {"started_at": ride.started_at, "beginnings": list(ride.beginnings)}
        row["rider_id"] = row["rider_id"] or ride.rider_id
        ride.ride_id = row["ride_id"]

    def _set_clocks(self, assembled: Assembled) -> None:
        for ride in assembled.set_clocks:
            row = self.rides[ride.identity]
            row |= {"started_at": ride.started_at, "beginnings": list(ride.beginnings)}
        began = {start.ride for start in assembled.started}
        for ride, wrong in assembled.shifted.items():
            if ride not in began:
                self.readings = {
                    (number, at + wrong if number == ride.ride_id else at): values
                    for (number, at), values in self.readings.items()
                }
        for start in assembled.told_anew:
            row = self.rides[start.ride.identity]
            row["rider_id"] = row["rider_id"] or start.ride.rider_id

    def _amend(self, half: Reading) -> None:
        ride_id, told = id_of(half.ride), values_of(half)
        mine = {at: values for (number, at), values in self.readings.items() if number == ride_id}
        if half.elapsed_s is not None:
            others = [
                at
                for at in sorted(mine)
                if half.at <= at < half.at + PAIR_WINDOW and mine[at][0] is None
            ]
            if others:
                other = mine[others[0]]
                other[0], other[3] = told[0], told[3]
                return
        else:
            halves = [
                at
                for at in sorted(mine)
                if half.at - PAIR_WINDOW < at <= half.at and mine[at][4] is None
            ]
            if halves:
                first_half = self.readings.pop((ride_id, halves[-1]))
                self.readings[ride_id, half.at] = [
                    first_half[0],
                    *told[1:3],
                    first_half[3],
                    told[4],
                ]
                return
        self.readings.setdefault((ride_id, half.at), told)

    def _row(self, ride_id: int) -> dict[str, Any]:
        [row] = [row for row in self.rides.values() if row["ride_id"] == ride_id]
        return row

    def _restore_stream(self, key: bytes) -> Stream:
        serial, ride_id = self.streams[key]
        row = self._row(ride_id)
        started_at = row["started_at"]
        found = sorted(
            (at, values[0])
            for (number, at), values in self.readings.items()
            if number == ride_id and started_at <= at <= started_at + RESTORED_WITHIN
        )
        counted = [(at, elapsed_s) for at, elapsed_s in found if elapsed_s is not None]
        ahead = started_at - row["beginnings"][-1]
        stream = Stream(key, serial)
        past = [
            each
            for each in self.rides.values()
            if each["serial"] == serial and each["ended_at"] and each["ride_id"] != ride_id
        ]
        past.sort(key=lambda each: each["started_at"])
        stream.past = [self._past(each) for each in past[-KEPT_RIDES:]]
        stream.announced = row["end_reason"] == EndReason.NEXT_RIDE
        stream.ride = Ride(
            stream_key=key,
            bike_serial=row["serial"],
            started_at=started_at,
            beginnings=list(row["beginnings"]),
            ahead=ahead,
            rider_id=row["rider_id"],
            ride_id=ride_id,
            last_stamp=(found[-1][0] if found else started_at) - ahead,
            counted_stamp=(counted[-1][0] if counted else started_at) - ahead,
            elapsed_s=counted[-1][1] if counted else 0.0,
            ended_at=row["ended_at"],
            end_reason=EndReason(row["end_reason"]) if row["end_reason"] else None,
        )
        return stream


def id_of(ride: Ride) -> int:
    """The id that a stored ride has."""
    assert ride.ride_id is not None
    return ride.ride_id


def values_of(reading: Reading) -> list[Any]:
    """What was measured, in the table's order."""
    return [
        reading.elapsed_s,
        reading.heart_rate_bpm,
        reading.cadence_rpm,
        reading.resistance,
        reading.power_watts,
    ]
