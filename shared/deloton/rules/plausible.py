"""CORE: what a person and a bike can do: a value beyond it was not measured.

Sensors say "no value" with the largest number they have (255, 1023, 32767), and faults make any.
Such a value must not reach a rider's mail or anybody's best.
"""

from typing import Final

from msgspec import Struct


class Bounds(Struct, frozen=True):
    """The lowest and the highest value that can be; `source` says how one knows."""

    lowest: float
    highest: float
    source: str

    def admit(self, value: float) -> bool:
        """Whether the value can be; NaN cannot."""
        return self.lowest <= value <= self.highest


# By the columns of readings. The feed's own range stands first where it decides.
PLAUSIBLE: Final = {
    "heart_rate_bpm": Bounds(
        25,
        240,
        "the lowest resting heart rate on record is 27 bpm (Guinness World Records: M. Brady, "
        "2005); the expected maximum of a rider of 20 is 194 bpm, give or take 10 (H. Tanaka, "
        "2001), and 240 lies more than four such steps above it",
    ),
    "cadence_rpm": Bounds(
        0,
        300,
        "the feed reaches 219 rpm; sprinters of the track are strongest at 130 rpm, half of what "
        "they could reach without any load (S. Dorel, 2005)",
    ),
    "resistance": Bounds(0, 250, "the feed reaches 170; 255 is how a byte says that it has none"),
    "power_watts": Bounds(
        0,
        3_000,
        "the feed reaches 1,485 W; sprinters of the track give 1,600 W on average, the strongest "
        "less than twice that (S. Dorel, 2005)",
    ),
}
