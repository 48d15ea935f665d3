"""CORE: what is known of a stream between two of its lines."""

from datetime import datetime

from msgspec import Struct

from deloton.feed.assembly.clock import Clock
from deloton.feed.assembly.crowd import Crowd
from deloton.feed.assembly.facts import NO_STAMP, Record, Ride
from deloton.feed.assembly.keys import stream_key, unknown_bike
from deloton.feed.assembly.memory import Memory
from deloton.feed.log_lines import RideAnnounced, RideLine, TelemetryLine

# So many past rides are kept, of which lines most often come again.
KEPT_RIDES = 3


class Held(Struct, frozen=True):
    """A line that the next one decides, with its record.

    `is_told`: a `[SYSTEM]` line whose stamp lies in a past ride of the same rider: it came again,
    unless seconds of a ride of its own follow.
    """

    line: TelemetryLine | RideAnnounced
    record: Record
    is_told: bool = False


class StreamState:
    """The ride in progress or last heard of, and the line that waits.

    The bike is called by a stand-in until its lines name it. `past` are the rides before, oldest
    first; for older ones `memory` is asked. `waiting` is a Ride line without its Telemetry,
    `unpaired` a Telemetry line right after it whose stamp does not fit, `held` another line that
    the next one decides. `announced` says that the next ride was announced and nothing of it came
    yet. `tail_stamp` tells when a past ride last began to go on in turn with this one, `in_tail`
    that it does now; `crowd` is there while two bikes share the stream. `late_half` is the last
    late Ride line, whose Telemetry comes next. `look_at` is the stamp from which on the clock is
    looked at again. `heard_at` is the caller's.
    """

    __slots__ = (
        *("announced", "bike_serial", "clock", "crowd", "heard_at", "held", "in_tail", "key"),
        *("late_half", "look_at", "memory", "past", "ride", "stand_in", "tail_stamp"),
        *("unpaired", "waiting"),
    )

    def __init__(
        self,
        key: bytes,
        bike_serial: str | None = None,
        memory: Memory | None = None,
        partition: int = 0,
    ) -> None:
        self.key = stream_key(key)
        self.stand_in = unknown_bike(self.key, partition)
        self.bike_serial = bike_serial or self.stand_in
        self.memory = memory or Memory(whole=True)
        self.ride: Ride | None = None
        self.past: list[Ride] = []
        self.waiting: RideLine | None = None
        self.unpaired: Held | None = None
        self.held: Held | None = None
        self.announced = False
        self.tail_stamp: datetime | None = None
        self.in_tail = False
        self.crowd: Crowd | None = None
        self.late_half: RideLine | None = None
        self.clock = Clock()
        self.look_at = NO_STAMP
        self.heard_at = 0.0

    @property
    def is_riding(self) -> bool:
        """Whether a ride is in progress."""
        return self.ride is not None and self.ride.ended_at is None

    def forget_ride(self) -> None:
        """Let the ride go without an end: what comes next begins another."""
        self.ride = self.waiting = self.unpaired = None
        self.past.clear()

    def let_go_of_stored_rides(self) -> None:
        """Keep the last past rides alone: the others can be asked for."""
        while len(self.past) > KEPT_RIDES:
            self.memory.let_go(self.past.pop(0))
