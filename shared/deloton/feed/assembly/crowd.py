"""CORE: two bikes in one stream: refused until one of them rides alone."""

from datetime import datetime

from msgspec import Struct

from deloton.feed.assembly.facts import SAME_BEGINNING, count_back
from deloton.feed.log_lines import LogLine, Refusal, RefusalReason, RideLine

TWO_BIKES = Refusal(
    RefusalReason.TWO_BIKES, "two bikes share this message's key: their lines cannot be told apart"
)
ALONE_AFTER = 120


class Crowd(Struct, eq=False):
    """Who rode last, and for how many Ride lines in a row."""

    beginning: datetime | None = None
    elapsed_s: float = 0.0
    alone_for: int = 0

    def is_over(self, line: LogLine) -> bool:
        """Take the next line; whether one bike has ridden alone for long enough since."""
        if not isinstance(line, RideLine):
            return False
        beginning = count_back(line.at, line.elapsed_s)
        goes_on = (
            self.beginning is not None
            and abs(beginning - self.beginning) <= SAME_BEGINNING
            and line.elapsed_s > self.elapsed_s
        )
        self.alone_for = self.alone_for + 1 if goes_on else 1
        self.beginning, self.elapsed_s = beginning, line.elapsed_s
        return self.alone_for > ALONE_AFTER
