"""Made-up heart rates, a reading a second, as a rider's heart and its sensor give them."""

from collections.abc import Sequence

from deloton.events import HeartRate
from deloton.testing import at

# So long nothing is believed of a sensor that nobody knows; then it has been steady for long.
WARM_UP_S = 45
USUAL_BPM = 120


def warm_up(bpm: int = USUAL_BPM, seconds: int = WARM_UP_S) -> list[int]:
    """A heart that beats on as hearts do: never the same rate for long."""
    return [bpm + second % 2 for second in range(seconds)]


def on_the_way(before_bpm: int, to_bpm: int) -> list[int]:
    """The rates between two, as fast as a heart can change."""
    step = 10 if to_bpm > before_bpm else -10
    return list(range(before_bpm + step, to_bpm, step))


def a_ride_at(bpm: int, seconds: int, usual_bpm: int = USUAL_BPM) -> list[int]:
    """A usual rate for a while, the way to another one, and so many seconds there."""
    return [*warm_up(usual_bpm), *on_the_way(usual_bpm, bpm), *[bpm] * seconds]


def samples(
    rates: Sequence[int | None],
    *,
    ride_id: int = 1,
    cadence_rpm: int | None = 85,
    from_s: float = 0.0,
) -> list[tuple[int, HeartRate]]:
    """Readings of successive seconds at the offsets 0, 1, 2 …; None is a second without one."""
    return [
        (second, HeartRate(ride_id, 7001, at(from_s + second), bpm, cadence_rpm))
        for second, bpm in enumerate(rates)
        if bpm is not None
    ]
