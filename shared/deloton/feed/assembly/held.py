"""CORE: the line that is held, decided by the Ride line that comes next."""

from deloton.feed.assembly.crowding import refuse_crowd
from deloton.feed.assembly.facts import (
    NO_TIME,
    PAIR_WINDOW,
    SAME_BEGINNING,
    Assembled,
    Reading,
    Record,
    Ride,
    Started,
    count_back,
)
from deloton.feed.assembly.state import StreamState
from deloton.feed.assembly.turns import (
    NO_RIDE,
    begin_announced_ride,
    decide_held,
    release_waiting,
)
from deloton.feed.log_lines import RideAnnounced, RideLine, TelemetryLine

Early = tuple[TelemetryLine, Record]


def take_held(
    stream: StreamState, line: RideLine, *, going_on: bool, out: Assembled
) -> Early | None:
    """Decide the held line by a Ride line; a Telemetry line that is of its ride is returned.

    `going_on`: the Ride line goes on with the ride of the stream.
    """
    held = stream.held
    if held is None:
        return None
    if isinstance(held.line, TelemetryLine):
        if NO_TIME <= line.at - held.line.at <= PAIR_WINDOW:
            stream.held = None
            return held.line, held.record
    elif going_on and not held.is_told and stream.ride is not None:
        stream.held = None
        _take_over(stream, held.line, held.record, stream.ride, out)
        return None
    elif not going_on and _counts_from(held.line, line):
        stream.held = None
        begin_announced_ride(stream, held.line, held.record, out)
        return None
    decide_held(stream, out)
    return None


def add_early(stream: StreamState, early: Early, out: Assembled) -> None:
    """A Telemetry line that came right before the first Ride line of its ride."""
    line, record = early
    ride = stream.ride
    if ride is None or line.at <= ride.last_stamp:
        out.refuse(record, NO_RIDE)
    else:
        add_lone_telemetry(ride, line, out)


def add_lone_telemetry(ride: Ride, line: TelemetryLine, out: Assembled) -> None:
    """A reading of a Telemetry line alone."""
    ride.last_stamp = line.at
    out.readings.append(
        Reading(
            ride=ride,
            at=line.at + ride.ahead,
            heart_rate_bpm=line.heart_rate_bpm,
            cadence_rpm=line.cadence_rpm,
            power_watts=line.power_watts,
        )
    )


def _take_over(
    stream: StreamState, line: RideAnnounced, record: Record, ride: Ride, out: Assembled
) -> None:
    """A rider was announced in mid-ride, and the ride's count goes on."""
    if (line.bike_serial or ride.bike_serial) != ride.bike_serial:
        refuse_crowd(stream, line, record, out)
        return
    rider_id = line.rider.rider_id if line.rider else None
    if rider_id is None or ride.rider_id in (None, rider_id):
        ride.rider_id = rider_id or ride.rider_id
        out.told_anew.append(Started(ride, line.firmware, line.rider))
        return
    release_waiting(stream, out)
    elapsed_s, counted_stamp = ride.elapsed_s, ride.counted_stamp
    following = begin_announced_ride(stream, line, record, out, ahead=ride.ahead)
    following.elapsed_s = following.from_s = elapsed_s
    following.counted_stamp = counted_stamp


def _counts_from(announced: RideAnnounced, line: RideLine) -> bool:
    return abs(count_back(line.at, line.elapsed_s) - announced.at) <= SAME_BEGINNING
