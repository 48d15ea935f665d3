"""CORE: two bikes are found in a stream: what of it is refused, and from when on it is not."""

from deloton.events import EndReason
from deloton.feed.assembly.crowd import TWO_BIKES, Crowd
from deloton.feed.assembly.facts import Assembled, Record
from deloton.feed.assembly.state import StreamState
from deloton.feed.assembly.turns import decide_held, end_ride
from deloton.feed.log_lines import LogLine


def refuse_crowd(stream: StreamState, line: LogLine, record: Record, out: Assembled) -> None:
    """A second bike is found by this line: the ride is over as far as one can tell."""
    stream.crowd = Crowd()
    decide_held(stream, out)
    if stream.is_riding:
        end_ride(stream, EndReason.SILENCE, out)
    stream.crowd.is_over(line)
    out.refuse(record, TWO_BIKES)


def crowd_is_over(stream: StreamState, line: LogLine, record: Record, out: Assembled) -> bool:
    """Whether one bike has ridden alone for long enough; until then every line is refused."""
    if stream.crowd is None or stream.crowd.is_over(line):
        stream.crowd = stream.tail_stamp = None
        return True
    out.refuse(record, TWO_BIKES)
    return False
