"""CORE: the colours of pages, mails and reports.

What stands in a table here (a zone, a gender, a level, a state, a measure) has its colour wherever
it is coloured; one colour may stand for several of them.

Six hues are of the eight of Okabe and Ito 2008 (Color Universal Design), which people of every kind
of colour vision tell apart; the grey, the darker orange and green and the red of danger are ours.
"""

from typing import Final

BLUE: Final = "#0072B2"
SKY: Final = "#56B4E9"
GREEN: Final = "#009E73"
ORANGE: Final = "#E69F00"
# For white words upon them, with a contrast of 4.5 and more.
DARK_ORANGE: Final = "#8F5A00"
DARK_GREEN: Final = "#00694C"
VERMILION: Final = "#D55E00"
PURPLE: Final = "#CC79A7"
GREY: Final = "#8A94A6"

# By the number of a zone in `deloton.rules.heart_rate.ZONES`: cold to hot.
ZONE_COLOURS: Final = {1: GREY, 2: SKY, 3: GREEN, 4: ORANGE, 5: VERMILION}

# By `deloton.events.Gender`.
GENDER_COLOURS: Final = {"female": PURPLE, "male": BLUE, "other": GREEN, "unknown": GREY}

# By the level of a heart-rate alert.
ALERT_COLOURS: Final = {"low": BLUE, "high": ORANGE, "critical": "#B3261E"}

# By the state of a bike.
BIKE_STATE_COLOURS: Final = {
    "faulty": ALERT_COLOURS["critical"],
    "in use": GREEN,
    "idle": SKY,
    "silent": GREY,
}

# What is measured, wherever a line or a tile shows it.
MEASURE_COLOURS: Final = {
    "heart_rate_bpm": VERMILION,
    "power_watts": BLUE,
    "cadence_rpm": GREEN,
    "resistance": GREY,
}

# Ours: headlines, buttons, the one thing a page wants seen.
BRAND: Final = "#12355B"
INK: Final = "#1B2430"
QUIET_INK: Final = "#5A6575"
PAPER: Final = "#FFFFFF"
PANEL: Final = "#F4F6F9"
RULE: Final = "#D9DEE6"

# The same by night: the pages' dark theme.
NIGHT_BRAND: Final = SKY
NIGHT_INK: Final = "#E8EDF4"
NIGHT_QUIET_INK: Final = "#A9B4C4"
NIGHT_PAPER: Final = "#0E1520"
NIGHT_PANEL: Final = "#18212F"
NIGHT_RULE: Final = "#2C3849"

_PALE_SHARE: Final = 0.3


def pale(colour: str) -> str:
    """The colour mixed with white, light enough for dark words upon it."""
    parts = bytes.fromhex(colour.removeprefix("#"))
    mixed = (round(255 - _PALE_SHARE * (255 - part)) for part in parts)
    return "#" + bytes(mixed).hex().upper()
