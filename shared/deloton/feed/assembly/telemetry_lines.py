"""CORE: a Telemetry line: the other half of a reading, half a reading, or of no ride."""

from datetime import datetime, timedelta

from deloton.feed.assembly.facts import (
    NO_TIME,
    PAIR_WINDOW,
    Assembled,
    Late,
    Reading,
    Record,
    Ride,
)
from deloton.feed.assembly.held import add_lone_telemetry
from deloton.feed.assembly.recall import ride_that_counts, rides_at
from deloton.feed.assembly.state import Held, StreamState
from deloton.feed.assembly.timeline import set_clock_to
from deloton.feed.assembly.turns import NO_RIDE, decide_held, release_waiting, resume_ride
from deloton.feed.log_lines import LogLine, RideAnnounced, RideLine, TelemetryLine
from deloton.rules.silence import SILENCE

_HALF_A_SECOND = timedelta(seconds=0.5)


def accept_telemetry(
    stream: StreamState, line: TelemetryLine, record: Record, out: Assembled
) -> None:
    """Make a reading of it and the Ride line that waits, or see what it is alone."""
    waiting, ride = stream.waiting, stream.ride
    if (
        waiting is not None
        and ride is not None
        and NO_TIME <= line.at - waiting.at < PAIR_WINDOW
        and (stream.late_half is None or not _is_half_of_late(stream, line))
    ):
        stream.waiting = None
        stream.announced = False
        _add_pair(ride, waiting, line, out)
    elif waiting is not None and not _is_half_of_late(stream, line):
        stream.unpaired = Held(line, record)
    else:
        _accept_alone(stream, line, record, out)


def settle_unpaired(stream: StreamState, following: LogLine | None, out: Assembled) -> None:
    """Decide, by the line that follows, of what a Telemetry line is that did not fit its Ride line.

    Where the next second follows on both, by its count and by its stamp, and no past ride told it,
    the bike's clock was set between the two halves. Raises `Forgotten`, having changed nothing.
    """
    unpaired, waiting, ride = stream.unpaired, stream.waiting, stream.ride
    if unpaired is None or not isinstance(unpaired.line, TelemetryLine):
        return
    line = unpaired.line
    if (
        waiting is not None
        and ride is not None
        and _proves_set_clock(stream, ride, waiting, line, following)
    ):
        stream.waiting = None
        set_clock_to(stream, ride, line.at, waiting.at + ride.ahead + _HALF_A_SECOND, out)
        _add_pair(ride, waiting, line, out)
    else:
        _accept_alone(stream, line, unpaired.record, out)
    stream.unpaired = None


def _proves_set_clock(
    stream: StreamState,
    ride: Ride,
    waiting: RideLine,
    line: TelemetryLine,
    following: LogLine | None,
) -> bool:
    if not (
        isinstance(following, RideLine)
        and following.elapsed_s - waiting.elapsed_s == 1.0
        and NO_TIME < following.at - line.at < PAIR_WINDOW
    ):
        return False
    found = ride_that_counts(stream, following)
    return found is None or (found.ride is ride and found.is_tail)


def _add_pair(ride: Ride, waiting: RideLine, line: TelemetryLine, out: Assembled) -> None:
    """A reading of both halves, at the stamp of the Telemetry line."""
    ride.last_stamp = ride.counted_stamp = at = line.at
    ride.elapsed_s = elapsed_s = waiting.elapsed_s
    ahead = ride.ahead
    out.readings.append(
        Reading(
            ride=ride,
            at=at + ahead if ahead else at,
            elapsed_s=elapsed_s,
            heart_rate_bpm=line.heart_rate_bpm,
            cadence_rpm=line.cadence_rpm,
            resistance=waiting.resistance,
            power_watts=line.power_watts,
        )
    )


def _accept_alone(stream: StreamState, line: TelemetryLine, record: Record, out: Assembled) -> None:
    """A Telemetry line that is no other half. Raises `Forgotten`."""
    if stream.held is not None and stream.held.line == line:
        out.repeats += 1
        return
    waiting, ride = stream.waiting, stream.ride
    if ride is not None and waiting is None and _follows_at_once(ride, line):
        _complete(stream, ride, line, record, out)
        return
    is_late = ride is not None and (
        line.at <= ride.last_stamp or (waiting is not None and line.at < waiting.at)
    )
    if ride is None or is_late or _may_be_of_another(stream, ride, line):
        late = _late(stream, line, record)
        if late is not None:
            out.late.append(late)
            stream.late_half = None
            return
    if is_late:
        out.refuse(record, NO_RIDE)
        return
    release_waiting(stream, out)
    if ride is not None and _goes_on(stream, ride, line):
        if ride.ended_at is not None:
            resume_ride(ride, line.at + ride.ahead, out)
        add_lone_telemetry(ride, line, out)
    else:
        _hold(stream, line, record, out)


def _follows_at_once(ride: Ride, line: TelemetryLine) -> bool:
    """Whether the last thing told of the ride may be the Ride line of this Telemetry line.

    It is, where silence or another partition's worker has given up waiting for it.
    """
    is_counted = ride.elapsed_s > ride.from_s and ride.counted_stamp == ride.last_stamp
    return is_counted and NO_TIME < line.at - ride.counted_stamp < PAIR_WINDOW


def _complete(
    stream: StreamState, ride: Ride, line: TelemetryLine, record: Record, out: Assembled
) -> None:
    """The other half of a reading that is stored by now; a reading of its own if that is whole."""
    at = line.at + ride.ahead
    if ride.ended_at is not None:
        resume_ride(ride, at, out)
    out.late.append(Late(ride, line, at, record))
    ride.last_stamp = ride.counted_stamp = line.at
    stream.announced = False


def _late(stream: StreamState, line: TelemetryLine, record: Record) -> Late | None:
    """The line as one of a ride that was going on at its stamp, if there is one."""
    half = stream.late_half
    if half is not None and _is_half_of_late(stream, line):
        found = ride_that_counts(stream, half)
        if found is not None:
            at = line.at + found.ahead
            return Late(found.ride, line, at, record, half_of_s=half.elapsed_s)
    moments = [(ride, line.at + ahead) for ride, ahead in rides_at(stream, line.at)]
    here = _goes_on_at(stream, line)
    if here is not None:
        others = [moment for moment in moments if moment != here]
        moments = [here, *others] if others else []
    if not moments:
        return None
    [(late_ride, at), *instead] = moments
    return Late(late_ride, line, at, record, instead)


def _goes_on_at(stream: StreamState, line: TelemetryLine) -> tuple[Ride, datetime] | None:
    """The ride that the line may simply go on with, its Ride line lost, and its time there.

    That is likelier than a line of the past that never came: a clock that was set back shows
    times again, and another ride may have told that stamp.
    """
    ride, waiting = stream.ride, stream.waiting
    if ride is None or ride.ended_at is not None or not _goes_on(stream, ride, line):
        return None
    last_stamp = ride.last_stamp if waiting is None else max(ride.last_stamp, waiting.at)
    return (ride, line.at + ride.ahead) if line.at > last_stamp else None


def _is_half_of_late(stream: StreamState, line: TelemetryLine) -> bool:
    half = stream.late_half
    return half is not None and NO_TIME <= line.at - half.at < PAIR_WINDOW


def _may_be_of_another(stream: StreamState, ride: Ride, line: TelemetryLine) -> bool:
    """Whether the stamp alone does not tell.

    So it is after a line of a past ride, after a hole, or where the clock was set.
    """
    return (
        stream.in_tail
        or _is_half_of_late(stream, line)
        or line.at - ride.last_stamp > SILENCE
        or len(ride.beginnings) > 1
    )


def _goes_on(stream: StreamState, ride: Ride, line: TelemetryLine) -> bool:
    may_go_on = stream.held is None and not stream.announced
    return may_go_on and line.at - ride.last_stamp <= SILENCE


def _hold(stream: StreamState, line: TelemetryLine, record: Record, out: Assembled) -> None:
    """Hold it: it could be of no ride yet. A `[SYSTEM]` that is held goes on being held."""
    if stream.held is not None and isinstance(stream.held.line, RideAnnounced):
        out.refuse(record, NO_RIDE)
        return
    decide_held(stream, out)
    stream.held = Held(line, record)
