"""CORE: a Ride line goes where it belongs (`belonging`), and waits there for its Telemetry."""

from datetime import timedelta

from deloton.events import EndReason
from deloton.feed.assembly.belonging import COUNTS_ON_S, Belonging, Place, belonging
from deloton.feed.assembly.crowd import TWO_BIKES
from deloton.feed.assembly.crowding import refuse_crowd
from deloton.feed.assembly.facts import NO_TIME, Assembled, Late, Record, Ride, count_back
from deloton.feed.assembly.held import add_early, take_held
from deloton.feed.assembly.recall import ride_that_counts
from deloton.feed.assembly.state import StreamState
from deloton.feed.assembly.timeline import look_at_clock, note_set_clock
from deloton.feed.assembly.turns import (
    begin_unannounced_ride,
    decide_held,
    end_ride,
    release_waiting,
    resume_ride,
)
from deloton.feed.log_lines import RideLine
from deloton.rules.silence import SILENCE

# A ride's next second has a stamp this far after the last reading's: half a second, and some.
_A_SECOND = timedelta(seconds=2)
_IN_TURN = timedelta(seconds=60)


def accept_ride_line(stream: StreamState, line: RideLine, record: Record, out: Assembled) -> None:
    """Find where it belongs; there it waits for its Telemetry. Raises `Forgotten`."""
    ride, at = stream.ride, line.at
    if (
        # The usual second, told apart quickly: it is the next one by count and by stamp.
        ride is None
        or line.elapsed_s - ride.elapsed_s != 1.0
        or at <= ride.last_stamp
        or at - ride.counted_stamp >= _A_SECOND
        or stream.waiting is not None
        or stream.held is not None
        or stream.in_tail
        or ride.ended_at is not None
    ) and not _go_where_it_belongs(stream, line, record, out):
        return
    stream.announced = False
    stream.late_half = None
    stream.waiting = line
    if at >= stream.look_at:
        look_at_clock(stream, at, record, out)


def _go_where_it_belongs(
    stream: StreamState, line: RideLine, record: Record, out: Assembled
) -> bool:
    """Make the line's ride the stream's; False where the line has found its end already."""
    if stream.waiting == line:
        out.repeats += 1
        return False
    found = _belonging(stream, line)
    match found.place:
        case Place.LATE:
            _add_late(stream, found, line, record, out)
            return False
        case Place.TWO_BIKES:
            refuse_crowd(stream, line, record, out)
            return False
        case Place.TAIL if not _goes_on_with_past(stream, found, line, record, out):
            return False
    before = stream.ride
    early = take_held(stream, line, going_on=found.place is not Place.NEW, out=out)
    if stream.crowd is not None:
        out.refuse(record, TWO_BIKES)
        return False
    if stream.ride is not before:
        found = _belonging(stream, line)
    stream.in_tail = False
    release_waiting(stream, out)
    if found.place is Place.NEW:
        began = count_back(line.at, line.elapsed_s)
        begin_unannounced_ride(stream, began, line.at, record, out)
    elif stream.ride is not None:
        set_clock = found.place is Place.SET_CLOCK
        _go_on(stream, stream.ride, line, out, set_clock=set_clock)
    if early is not None:
        add_early(stream, early, out)
    return True


def _belonging(stream: StreamState, line: RideLine) -> Belonging:
    return belonging(
        line,
        stream.ride,
        stream.waiting,
        lambda line: ride_that_counts(stream, line),
        announced=stream.announced,
    )


def _go_on(
    stream: StreamState, ride: Ride, line: RideLine, out: Assembled, *, set_clock: bool
) -> None:
    """The ride goes on with a line by its count; its time does too, wherever the stamp is."""
    if set_clock or line.at <= ride.last_stamp:
        note_set_clock(stream, ride, line, out)
    if ride.ended_at is not None:
        resume_ride(ride, line.at + ride.ahead, out)


def _goes_on_with_past(
    stream: StreamState, found: Belonging, line: RideLine, record: Record, out: Assembled
) -> bool:
    """Whether the stream is on a past ride again by a later second; else it is that one's tail."""
    past = found.ride
    if past is None:
        return True
    if stream.ride is None:
        # Its stream is not known here any more: its key may have moved.
        stream.ride = out.moved[stream.key] = past
        stream.bike_serial = past.bike_serial
        return True
    if _was_taken_over(stream, stream.ride, past, line):
        _count_on(stream.ride, line)
        return True
    if _is_in_turn(stream, line):
        refuse_crowd(stream, line, record, out)
        return False
    if _was_a_slip(stream.ride, line):
        _go_back_to(stream, past, stream.ride, out)
        return True
    stream.in_tail = True
    _add_late(stream, found, line, record, out)
    past.elapsed_s = line.elapsed_s
    past.last_stamp = max(past.last_stamp, line.at)
    past.ended_at = max(past.ended_at or past.started_at, line.at + found.ahead)
    return False


def _was_taken_over(stream: StreamState, ride: Ride, past: Ride, line: RideLine) -> bool:
    """Whether a ride that was just announced goes on counting where the one before has ended.

    So it is where the bike asks who rides in mid-ride, which looks like a ride's beginning.
    """
    has_begun = ride.met_stamp is not None or ride.elapsed_s > 0 or stream.waiting is not None
    return (
        not has_begun
        and line.elapsed_s - past.elapsed_s <= COUNTS_ON_S
        and NO_TIME <= line.at - ride.last_stamp <= SILENCE
    )


def _count_on(ride: Ride, line: RideLine) -> None:
    """The ride's first second is the one that a line tells of, whatever its count."""
    ride.elapsed_s = ride.from_s = line.elapsed_s - 1.0
    ride.counted_stamp = count_back(line.at, 1.0)


def _is_in_turn(stream: StreamState, line: RideLine) -> bool:
    """Whether a past ride goes on a second time within a minute, in turn with this one."""
    if stream.in_tail:
        return False
    before, stream.tail_stamp = stream.tail_stamp, line.at
    return before is not None and abs(line.at - before) <= _IN_TURN


def _was_a_slip(ride: Ride, line: RideLine) -> bool:
    """Whether a ride is of one line alone, as where that line's duration was garbled."""
    return ride.met_stamp is not None and NO_TIME <= line.at - ride.met_stamp <= _A_SECOND


def _go_back_to(stream: StreamState, past: Ride, slip: Ride, out: Assembled) -> None:
    """The stream is on a past ride again; the one of the slip is over."""
    end_ride(stream, EndReason.NEXT_RIDE, out)
    stream.past = [ride for ride in (*stream.past, slip) if ride is not past]
    stream.ride = out.moved[stream.key] = past


def _add_late(
    stream: StreamState, found: Belonging, line: RideLine, record: Record, out: Assembled
) -> None:
    if stream.held is not None and stream.held.is_told:
        decide_held(stream, out)
    ride = found.ride
    if ride is not None:
        out.late.append(Late(ride, line, line.at + found.ahead, record))
        stream.late_half = line
