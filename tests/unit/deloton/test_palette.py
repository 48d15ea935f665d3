"""Colours that words can be read upon."""

import pytest

from deloton.showing.palette import ALERT_COLOURS, BIKE_STATE_COLOURS, BLUE, DARK_ORANGE, INK, pale


def luminance(colour: str) -> float:
    """As WCAG 2 defines it."""
    parts = [part / 255 for part in bytes.fromhex(colour[1:])]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return sum(weight * p for weight, p in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("colour", [*ALERT_COLOURS.values(), *BIKE_STATE_COLOURS.values()])
def test_dark_words_can_be_read_on_a_pale_colour(colour: str) -> None:
    assert (luminance(pale(colour)) + 0.05) / (luminance(INK) + 0.05) > 7


@pytest.mark.parametrize("colour", [BLUE, DARK_ORANGE, ALERT_COLOURS["critical"]])
def test_white_words_can_be_read_on_the_bars_of_mails(colour: str) -> None:
    assert 1.05 / (luminance(colour) + 0.05) >= 4.5


def test_a_pale_colour_is_three_tenths_of_it_on_white() -> None:
    assert [pale(colour) for colour in ("#000000", "#804020", "#FFFFFF")] == [
        "#B2B2B2",
        "#D9C6BC",
        "#FFFFFF",
    ]
