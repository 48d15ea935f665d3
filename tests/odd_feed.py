"""Some rides of one bike with what real feeds do: clocks that are set, lines that come twice."""

from datetime import timedelta
from random import Random

import msgspec

from deloton.feed.log_lines import LogLine, Marker, RiderRequested
from deloton.testing import BIKE, a_rider, a_whole_ride, an_announcement, at

# A second of the bike is so much longer than two half seconds of ours.
LATER_BY_LINE_S = 0.00068
JUMPS_S = (3_600.0, 86_400.0, 31_536_000.0)


class OddFeed:
    """The lines of a bike. Of a clock that is set here and there no second is shown twice.

    A feed is named by its number, and always the same. `faults` are words in a list: "lost lines",
    "a second rider", "who is asked for", "a clock that is set".
    """

    def __init__(
        self,
        number: int,
        faults: str,
        *,
        bike_serial: str = BIKE,
        first_rider: int = 7000,
        jumps_s: tuple[float, ...] = JUMPS_S,
    ) -> None:
        self.rng = Random(number)
        self.faults = faults
        self.bike_serial, self.first_rider, self.jumps_s = bike_serial, first_rider, jumps_s
        self.lines: list[LogLine] = []
        # When each was told, by a clock that is right: seconds since the first.
        self.told_s: list[float] = []
        self.clock_s = self.began_s = 0.0

    def ride(self, rides: int, longest_s: int = 60, shortest_s: int = 5) -> "OddFeed":
        """So many rides more, one after another."""
        for _ in range(rides):
            self._ride(self.rng.randint(shortest_s, longest_s))
        return self

    def _ride(self, seconds: int) -> None:
        rng, serial = self.rng, self.bike_serial
        rider = a_rider(self.first_rider + rng.randint(0, 3))
        ride = a_whole_ride(seconds, began_s=self.began_s, rider=rider, bike_serial=serial)
        set_at = rng.randrange(4, len(ride), 2) if self._happens("a clock that is set") else None
        told_at = rng.randrange(6, len(ride), 2) if self._happens("a second rider") else None
        for place, line in enumerate(ride):
            is_first = place < 4 or place == told_at
            if place == set_at:
                self.clock_s += rng.choice(self.jumps_s) + rng.random()
            if place == told_at:
                told_s = self.began_s + (place - 4) // 2 + 0.75
                if "who is asked for" in self.faults:
                    self._tell(RiderRequested(at(told_s - 0.125)))
                other = rider if rng.random() < 0.5 else a_rider(self.first_rider + 10 + place)
                self._tell(an_announcement(told_s, rider=other, bike_serial=serial))
            if is_first or rng.random() > 0.03 or "lost lines" not in self.faults:
                self._tell(line)
        self.began_s += seconds + rng.choice((2.5, 2.5, 2.5, 100.0))

    def _happens(self, fault: str) -> bool:
        return fault in self.faults and self.rng.random() < 0.5

    def _tell(self, line: LogLine) -> None:
        self.clock_s += LATER_BY_LINE_S
        later = timedelta(seconds=round(self.clock_s, 6))
        told_s = self.told_s[-1] if self.told_s else 0.0
        if not isinstance(line, Marker):
            told_s = (line.at - at(0)).total_seconds() + len(self.lines) * LATER_BY_LINE_S
            line = msgspec.structs.replace(line, at=line.at + later)
        self.lines.append(line)
        self.told_s.append(told_s)

    def with_repeats(self, windows: int, longest: int = 200) -> list[LogLine]:
        """The same, with windows of up to `longest` lines sent again, at once or later."""
        rng, lines = self.rng, self.lines
        for _ in range(windows):
            of_lines = [length for length in (1, 2, 5, 40, 200, 1_000, 4_000) if length <= longest]
            length = min(rng.choice(of_lines), len(lines) - 1)
            first = rng.randint(0, len(lines) - length)
            at = rng.choice((first + length, rng.randint(first + length, len(lines))))
            lines = [*lines[:at], *lines[first : first + length], *lines[at:]]
        return lines
