"""Colours that words can be read upon."""

import pytest

from deloton.palette import ALERT_COLOURS, BIKE_STATE_COLOURS, INK, pale


def luminance(colour: str) -> float:
    """As WCAG 2 defines it."""
    parts = [part / 255 for part in bytes.fromhex(colour[1:])]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return sum(weight * p for weight, p in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("colour", [*ALERT_COLOURS.values(), *BIKE_STATE_COLOURS.values()])
def test_dark_words_can_be_read_on_a_pale_colour(colour: str) -> None:
    assert (luminance(pale(colour)) + 0.05) / (luminance(INK) + 0.05) > 7
