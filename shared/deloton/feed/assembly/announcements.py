"""CORE: a `[SYSTEM]` line: a ride begins, or the next line decides whether one does."""

from msgspec.structs import replace

from deloton.feed.assembly.facts import NO_TIME, Assembled, Record
from deloton.feed.assembly.recall import ride_begun_by, rides_at
from deloton.feed.assembly.state import Held, StreamState
from deloton.feed.assembly.turns import begin_announced_ride, decide_held
from deloton.feed.log_lines import Refusal, RefusalReason, RideAnnounced
from deloton.rules.silence import SILENCE
from deloton.rules.whose import whose_bike, whose_rider

OTHER_WORLD = Refusal(
    RefusalReason.OTHER_WORLD,
    "real and simulated riders and the canary have bikes of their own: who rides is not known",
)


def accept_announcement(
    stream: StreamState, line: RideAnnounced, record: Record, out: Assembled
) -> None:
    """Begin the ride, hold the line in mid-ride, or drop it as a repeat. Raises `Forgotten`.

    A rider who cannot be on this bike is unknown, and the line is a dead letter as well.
    """
    believed = without_stranger(line, stream.bike_serial)
    if _take(stream, believed, record, out) and believed is not line:
        out.refuse(record, OTHER_WORLD)


def without_stranger(line: RideAnnounced, bike_serial: str) -> RideAnnounced:
    """The line itself, or without a rider of another world than its bike's.

    `bike_serial`: the stream's, for a line that names none.
    """
    if line.rider is None:
        return line
    serial = line.bike_serial or bike_serial
    if whose_rider(line.rider.rider_id) is whose_bike(serial):
        return line
    return replace(line, rider=None)


def _take(stream: StreamState, line: RideAnnounced, record: Record, out: Assembled) -> bool:
    """Whether it told anything new."""
    if stream.held is not None and stream.held.line == line:
        out.repeats += 1
        return False
    begun = ride_begun_by(stream, line)
    if begun is not None:
        stream.announced = False
        out.repeats += 1
        if stream.ride is None:
            stream.ride = out.moved[stream.key] = begun
            stream.bike_serial = begun.bike_serial
        return False
    is_told = _was_told(stream, line)
    if is_told and _holds_rider_told_in_mid_ride(stream):
        out.repeats += 1
        return False
    decide_held(stream, out)
    if is_told or _is_in_mid_ride(stream, line):
        stream.held = Held(line, record, is_told)
    else:
        begin_announced_ride(stream, line, record, out)
    return True


def _was_told(stream: StreamState, line: RideAnnounced) -> bool:
    """Whether it may have been told in the midst of a past ride: the same rider was on it then."""
    rider_id = line.rider.rider_id if line.rider else None
    last_stamp = stream.waiting.at if stream.waiting is not None else None
    for ride, ahead in rides_at(stream, line.at):
        is_past = ride is not stream.ride or line.at + ahead < ride.last_at
        is_past = is_past or (last_stamp is not None and line.at < last_stamp)
        if is_past and rider_id in (None, ride.rider_id):
            return True
    return False


def _holds_rider_told_in_mid_ride(stream: StreamState) -> bool:
    """Whether one waits for the count to go on: what comes again meanwhile decides nothing."""
    held = stream.held
    return held is not None and isinstance(held.line, RideAnnounced) and not held.is_told


def _is_in_mid_ride(stream: StreamState, line: RideAnnounced) -> bool:
    ride = stream.ride
    return (
        ride is not None
        # It may be held to be over: a pause in what comes is none by the stamps.
        and not stream.announced
        and (ride.elapsed_s > 0 or stream.waiting is not None)
        and NO_TIME <= line.at - ride.last_stamp <= SILENCE
    )
