"""CORE: the lines of one stream in their order, each to the rules of its kind."""

from collections.abc import Iterable
from typing import assert_never

from deloton.events import EndReason
from deloton.feed.assembly.announcements import accept_announcement
from deloton.feed.assembly.crowding import crowd_is_over
from deloton.feed.assembly.facts import Assembled, Record
from deloton.feed.assembly.memory import Forgotten
from deloton.feed.assembly.ride_lines import accept_ride_line
from deloton.feed.assembly.state import StreamState
from deloton.feed.assembly.telemetry_lines import accept_telemetry, settle_unpaired
from deloton.feed.assembly.turns import NO_RIDE, decide_held, end_ride, release_waiting
from deloton.feed.log_lines import (
    LogLine,
    Marker,
    RideAnnounced,
    RideLine,
    RiderRequested,
    TelemetryLine,
)


class Stream(StreamState):
    """The lines of one bike."""

    __slots__ = ()

    def accept(self, line: LogLine, record: Record, out: Assembled) -> None:
        """Take the next line; add what follows to `out`.

        Raises `Forgotten`, having changed nothing: answer it, and give the line again.
        """
        if self.crowd is not None and not crowd_is_over(self, line, record, out):
            return
        if self.unpaired is not None:
            settle_unpaired(self, line, out)
        # By type and not by `match`, which costs a tenth of all that is done with a line.
        if type(line) is TelemetryLine:
            accept_telemetry(self, line, record, out)
        elif type(line) is RideLine:
            accept_ride_line(self, line, record, out)
        elif type(line) is RideAnnounced:
            accept_announcement(self, line, record, out)
        elif type(line) is Marker or type(line) is RiderRequested:
            # It may come again with a window of old lines, and decides no rider.
            if self.held is not None and not isinstance(self.held.line, RideAnnounced):
                decide_held(self, out)
            self.announced = True
        else:
            assert_never(line)

    def end_by_silence(self, out: Assembled) -> None:
        """The caller has waited for 30 s and heard nothing."""
        self._settle_unpaired_here(out)
        decide_held(self, out)
        if self.is_riding:
            end_ride(self, EndReason.NEXT_RIDE if self.announced else EndReason.SILENCE, out)

    def let_go(self, out: Assembled) -> None:
        """The stream goes on elsewhere: what waited here is a reading, what was held is no use."""
        self._settle_unpaired_here(out)
        release_waiting(self, out)
        if self.held is not None:
            out.refuse(self.held.record, NO_RIDE)
            self.held = None

    def _settle_unpaired_here(self, out: Assembled) -> None:
        """Nothing follows, and nobody is there to be asked for what memory has forgotten."""
        try:
            settle_unpaired(self, None, out)
        except Forgotten:
            if self.unpaired is not None:
                out.refuse(self.unpaired.record, NO_RIDE)
                self.unpaired = None


def end_silent_rides(streams: Iterable[Stream], heard_before: float) -> Assembled:
    """End the open rides of the streams that were last heard before a moment of the caller's."""
    out = Assembled()
    for stream in streams:
        if stream.heard_at < heard_before:
            stream.end_by_silence(out)
    return out
