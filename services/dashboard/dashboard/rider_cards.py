"""CORE: what is written on the card of a rider under way."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final

import pandas as pd

from dashboard.formats import clock
from deloton.rules.heart_rate import zone_of
from deloton.showing.formats import number
from deloton.showing.palette import ALERT_COLOURS, GREY, ZONE_COLOURS

Rates = Sequence[int | None]

LEVEL_MARKS: Final = {"critical": "⬤ critical", "high": "▲ high", "low": "▼ low"}
SPARKLINE_S: Final = 60
SPARKLINE_HEIGHT: Final = 60
# Bounds of a sparkline as shares of the rider's expected maximum.
_LOWEST_SHARE: Final = 0.35
_HIGHEST_SHARE: Final = 1.1


def cards(
    rides: pd.DataFrame, rates: Mapping[int, Rates], chosen: int | None
) -> list[dict[str, object]]:
    """A card per ride, in the order of the rides.

    `ride` (its id), `colour` (of its zone, or of its danger), `classes`, `chosen`, `html`: safe,
    whatever a rider is called. `rates` are the heart rates of the last minute, a value a second.
    """
    return [
        {
            "ride": str(ride.ride_id),
            "colour": colour_of(ride),
            "classes": f"card outside {ride.level}" if ride.level else "card",
            "chosen": ride.ride_id == chosen,
            "html": card(ride, rates.get(ride.ride_id, ())),
        }
        for ride in rides.itertuples()
    ]


def colour_of(ride: Any) -> str:  # noqa: ANN401 - a row
    """The colour of the rider's danger; without one, of the zone; grey without a heart rate."""
    if ride.level:
        return ALERT_COLOURS[ride.level]
    if pd.isna(ride.heart_rate_bpm):
        return GREY
    return ZONE_COLOURS[zone_of(ride.heart_rate_bpm, ride.maximum_bpm).number]


def card(ride: Any, rates: Rates) -> str:  # noqa: ANN401
    """One card's inside."""
    share = 0.0 if pd.isna(ride.share_percent) else min(ride.share_percent, 100.0)
    facts = (number(ride.power_watts, "W"), number(ride.cadence_rpm, "rpm"), ride.bike_serial)
    return (
        f'<span class="name">{escape(ride.name or "Unknown rider")}</span>'
        f'<span class="level">{LEVEL_MARKS.get(ride.level, clock(ride.elapsed_s))}</span>'
        f'<span class="rate"><b>{number(ride.heart_rate_bpm)}</b> bpm</span>'
        f"{sparkline(rates, ride.maximum_bpm)}"
        f'<span class="share"><i style="width:{share:.0f}%"></i></span>'
        f'<span class="foot"><span>{percent_of(ride)}</span>'
        f"<span>{escape(' · '.join(facts))}</span></span>"
    )


def percent_of(ride: Any) -> str:  # noqa: ANN401
    """The heart rate in percent of the expected maximum, or why there is none."""
    if pd.isna(ride.share_percent):
        return "no hands on the bar"
    return f"{number(ride.share_percent, '%')} of max."


def sparkline(rates: Rates, maximum_bpm: float) -> str:
    """The last minute as a small line; a second without a heart rate is a gap in it."""
    path = sparkline_path(rates, _LOWEST_SHARE * maximum_bpm, _HIGHEST_SHARE * maximum_bpm)
    return (
        f'<svg viewBox="0 0 {SPARKLINE_S} {SPARKLINE_HEIGHT}" preserveAspectRatio="none" '
        f'aria-hidden="true"><path d="{path}"/></svg>'
    )


def sparkline_path(rates: Rates, lowest_bpm: float, highest_bpm: float) -> str:
    """The line as an SVG path: the newest second at the right edge, a unit a second."""
    newest = list(rates)[-SPARKLINE_S:]
    steps, pen_is_down = [], False
    for x, bpm in enumerate(newest, SPARKLINE_S - len(newest) + 1):
        if bpm is not None:
            share = (bpm - lowest_bpm) / (highest_bpm - lowest_bpm)
            y = SPARKLINE_HEIGHT * (1 - min(max(share, 0.0), 1.0))
            steps.append(f"{'L' if pen_is_down else 'M'}{x} {y:.0f}")
        pen_is_down = bpm is not None
    return "".join(steps)
