"""CORE: rides of a stream begin, end and are resumed; what waited before that is settled."""

from datetime import datetime, timedelta

from deloton.events import EndReason
from deloton.feed.assembly.clock import came_at
from deloton.feed.assembly.facts import Assembled, Ended, Reading, Record, Resumed, Ride, Started
from deloton.feed.assembly.state import StreamState
from deloton.feed.log_lines import Refusal, RefusalReason, RideAnnounced, TelemetryLine
from deloton.rules.silence import SILENCE

NO_RIDE = Refusal(RefusalReason.NO_RIDE, "telemetry that belongs to no ride seen so far")


def begin_announced_ride(
    stream: StreamState,
    line: RideAnnounced,
    record: Record,
    out: Assembled,
    ahead: timedelta | None = None,
) -> Ride:
    """Begin the ride that a line announces; `ahead` where our time is known better."""
    ahead = _end_the_ride_before(stream, line.at, line.at, ahead, record, out)
    stream.bike_serial = line.bike_serial or stream.bike_serial
    rider_id = line.rider.rider_id if line.rider else None
    ride = Ride.begin(stream.key, stream.bike_serial, line.at, rider_id, ahead)
    stream.tail_stamp = None
    _go_to(stream, ride, line.at, Started(ride, line.firmware, line.rider), out)
    return ride


def begin_unannounced_ride(
    stream: StreamState, began: datetime, told: datetime, record: Record, out: Assembled
) -> None:
    """Begin a ride without a rider at a stamp, told of by a line at another."""
    ahead = _end_the_ride_before(stream, began, told, None, record, out)
    ride = Ride.begin(stream.key, stream.bike_serial, began, None, ahead)
    ride.met_stamp = told
    _go_to(stream, ride, told, Started(ride, None, None), out)


def end_ride(stream: StreamState, reason: EndReason, out: Assembled) -> None:
    """End the ride, or correct the reason of an end."""
    release_waiting(stream, out)
    ride = stream.ride
    if ride is None or ride.end_reason is reason:
        return
    out.changes.append(Ended(ride, ride.last_at, reason))
    ride.ended_at, ride.end_reason = ride.last_at, reason
    out.settle(ride)


def resume_ride(ride: Ride, at: datetime, out: Assembled) -> None:
    """A ride that was held to be over goes on."""
    ride.ended_at = ride.end_reason = None
    out.changes.append(Resumed(ride, at))
    out.settle(ride)


def release_waiting(stream: StreamState, out: Assembled) -> None:
    """Give up waiting for the other half: the Ride line is a reading of its own."""
    line, ride = stream.waiting, stream.ride
    if line is None or ride is None:
        return
    stream.waiting = None
    ride.last_stamp = ride.counted_stamp = line.at
    ride.elapsed_s = line.elapsed_s
    out.readings.append(
        Reading(
            ride=ride,
            at=line.at + ride.ahead,
            elapsed_s=line.elapsed_s,
            resistance=line.resistance,
        )
    )


def decide_held(stream: StreamState, out: Assembled) -> None:
    """Nothing that would decide it has come: the rider rides, the Telemetry is of no ride."""
    held, stream.held = stream.held, None
    if held is None:
        return
    if isinstance(held.line, TelemetryLine):
        out.refuse(held.record, NO_RIDE)
    elif held.is_told:
        out.repeats += 1
    else:
        begin_announced_ride(stream, held.line, held.record, out)


def _end_the_ride_before(
    stream: StreamState,
    began: datetime,
    told: datetime,
    ahead: timedelta | None,
    record: Record,
    out: Assembled,
) -> timedelta:
    """End the ride before the one that begins; returns what our time has ahead for that one."""
    release_waiting(stream, out)
    if ahead is None:
        ahead = stream.clock.at_beginning(told, came_at(record.timestamp))
    former = stream.ride
    if former is not None:
        if ahead and began + ahead <= former.started_at:
            ahead = former.last_at + timedelta(milliseconds=1) - began
        silent = began + ahead - former.last_at > SILENCE
        end_ride(stream, EndReason.SILENCE if silent else EndReason.NEXT_RIDE, out)
        stream.past.append(former)
    return ahead


def _go_to(
    stream: StreamState, ride: Ride, told: datetime, started: Started, out: Assembled
) -> None:
    stream.ride = out.moved[stream.key] = ride
    stream.announced = stream.in_tail = False
    stream.look_at = told
    out.begin(started)
