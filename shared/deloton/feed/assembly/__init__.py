"""CORE: lines of a stream → rides and readings: a state machine without I/O.

All lines of one bike share a stream and come in order; which ride a line belongs to follows
from that order alone, and no line says that a ride ended. Stamps are what the bike's clock said;
times ending in `_at` are ours (`clock`). What a line does, by what was heard before:

| | nothing waits | a Ride line waits | a line is held |
|---|---|---|---|
| **Ride** | it waits for its Telemetry | the same again: a repeat; else the former is a reading of its own, and this one waits | the held line is decided (below) |
| **Telemetry** | a reading without Ride line; held where it could be of no ride yet | within 1 s: the two are one reading; else the next line decides (below) | a held Telemetry is refused, a held `[SYSTEM]` goes on being held |
| **`[SYSTEM]`** | a ride begins; in mid-ride, unannounced: it is held | the same | the held line is decided first; by a repeat: no held `[SYSTEM]` |
| **marker, request** | the next ride is announced | the same: it goes on waiting | a held Telemetry is refused, a held `[SYSTEM]` goes on being held |
| **silence** (30 s) | the ride ends | the Ride line is a reading; the ride ends | the held line is decided; the ride ends |

Where a **Ride line** belongs (`belonging`, row by row):

| it tells of | then |
|---|---|
| a later second of this ride's beginning (±2 s) | this ride goes on, resumed if it had ended |
| an earlier second of it, or the same, at a stamp after all that it told | two bikes |
| an earlier second of it | *late*: a repeat, or what is missing there |
| a second that a past ride told | *late*, of that ride |
| the next 5 s of a past ride of this bike, told after a ride was announced that has no line yet | that ride's first: its rider took over |
| a later second of a past ride of this bike | *late*, its tail; twice in turn with this ride: two bikes |
| a later second of a past ride of another bike | two bikes |
| the next 5 s of this ride by its count alone, none announced | this ride goes on: its clock was set |
| anything else | a ride without a rider begins at stamp - duration |

A Telemetry line that comes when nobody waits for it any more, after silence or in another
partition, completes the reading that its Ride line became.

What the next line decides:

| line | what comes next | then |
|---|---|---|
| a **Telemetry** line beside the Ride line that waits | the next second, within 1 s after it, that no ride told yet | the clock was set between the halves: the two are one reading |
| | anything else | it is late, or a reading without Ride line |
| a **Telemetry** line that is held | a Ride line within 1 s | a reading of the ride that it tells of |
| | anything else | it is refused |
| a **`[SYSTEM]`** line in mid-ride | the count goes on | the same rider: newer facts; another: the ride ends, and his goes on counting |
| | what came before | it goes on being held |
| | anything else | a ride begins |
| a **`[SYSTEM]`** line of a stamp at which a past ride of its rider went on | the first seconds of a ride of its own | that ride begins |
| | anything else | it is a repeat |

*Late* lines go to `late`: what is stored already is a repeat, however long ago; the rest is stored
where it belongs. A Telemetry line after a late Ride line is late with it. What memory has
forgotten is asked for (`memory.Forgotten`).

*Two bikes* in one stream cannot be told apart: their lines are refused until 120 Ride lines in a
row come from one of them alone (`crowd`).

A rider of another world than the bike's (`deloton.rules.whose`) is unknown; the line that told
of such a one is refused as well.

A ride ends at its last reading. The reason is silence where more than 30 s pass before the next
ride's beginning, or where the caller has waited that long and no next ride was announced; else
it is the next ride.

Repeating a series of lines from the same state gives the same rides and readings.

Where each rule stands: `stream` hands a line to `ride_lines` (with `belonging`),
`telemetry_lines` or `announcements`; `held` and `turns.decide_held` decide what is held; in
`turns` rides begin and end; `timeline` and `clock` reckon our time; `recall` and `memory` look
among past rides; `crowding` and `crowd` refuse two bikes; `late` places what came late; `state`
is what a stream knows, `facts` what comes of it.
"""  # noqa: E501 - tables

from deloton.feed.assembly.announcements import OTHER_WORLD, without_stranger
from deloton.feed.assembly.facts import (
    NO_STAMP,
    PAIR_WINDOW,
    SAME_BEGINNING,
    Assembled,
    Ended,
    Late,
    Reading,
    Record,
    RefusedRecord,
    Resumed,
    Ride,
    Started,
)
from deloton.feed.assembly.keys import LONGEST_KEY, stream_key, unknown_bike
from deloton.feed.assembly.memory import Forgotten, Memory
from deloton.feed.assembly.stream import Stream, end_silent_rides
from deloton.feed.assembly.turns import decide_held, release_waiting

__all__ = [
    "LONGEST_KEY",
    "NO_STAMP",
    "OTHER_WORLD",
    "PAIR_WINDOW",
    "SAME_BEGINNING",
    "Assembled",
    "Ended",
    "Forgotten",
    "Late",
    "Memory",
    "Reading",
    "Record",
    "RefusedRecord",
    "Resumed",
    "Ride",
    "Started",
    "Stream",
    "decide_held",
    "end_silent_rides",
    "release_waiting",
    "stream_key",
    "unknown_bike",
    "without_stranger",
]
