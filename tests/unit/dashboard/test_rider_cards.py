"""What stands on a rider's card, and what cannot get there."""

import pandas as pd
import pytest

from dashboard.rider_cards import cards, sparkline_path
from deloton.showing.palette import ALERT_COLOURS, GREY, ZONE_COLOURS


def a_ride(heart_rate_bpm: float | None, level: str = "", name: str = "Ada") -> pd.DataFrame:
    """A ride under way of a rider whose expected maximum is 200 bpm."""
    share = None if heart_rate_bpm is None else heart_rate_bpm / 2
    return pd.DataFrame(
        {
            "ride_id": [7],
            "name": [name],
            "level": [level],
            "heart_rate_bpm": pd.Series([heart_rate_bpm], dtype="float64"),
            "share_percent": pd.Series([share], dtype="float64"),
            "maximum_bpm": [200.0],
            "power_watts": [150.0],
            "cadence_rpm": [80],
            "elapsed_s": [90.0],
            "bike_serial": ["SN<1>"],
        }
    )


def test_a_card_says_what_is_measured_and_who_rides() -> None:
    [card] = cards(a_ride(130), {}, chosen=7)
    for words in ("Ada", "<b>130</b> bpm", "65 % of max.", "150 W · 80 rpm", "1:30"):
        assert words in str(card["html"])
    assert card["chosen"]
    assert card["colour"] == ZONE_COLOURS[2]


def test_a_rider_in_danger_has_the_colour_of_the_danger() -> None:
    [card] = cards(a_ride(190, "high"), {}, chosen=None)
    assert card["colour"] == ALERT_COLOURS["high"]
    assert "▲ high" in str(card["html"])
    assert card["classes"] == "card outside high"


def test_without_hands_on_the_bar_a_card_says_so() -> None:
    [card] = cards(a_ride(None), {}, chosen=None)
    assert "no hands on the bar" in str(card["html"])
    assert card["colour"] == GREY


def test_a_name_cannot_become_markup() -> None:
    [card] = cards(a_ride(130, name="<img src=x onerror=alert(1)>"), {}, chosen=None)
    assert "<img" not in str(card["html"])
    assert "SN&lt;1&gt;" in str(card["html"])


@pytest.mark.parametrize(
    ("rates", "path"),
    [
        ([], ""),
        ([100, 150], "M59 30L60 0"),
        ([100, None, 100], "M58 30M60 30"),
        ([None, 20], "M60 60"),
        ([0] * 90, "M1 60" + "".join(f"L{second} 60" for second in range(2, 61))),
    ],
)
def test_a_sparkline_ends_now_and_has_gaps(rates: list[int | None], path: str) -> None:
    assert sparkline_path(rates, lowest_bpm=50, highest_bpm=150) == path


def test_a_card_is_all_that_the_page_asks_for() -> None:
    [card] = cards(a_ride(130), {7: [100, 130]}, chosen=None)
    del card["html"]
    assert card == {
        "ride": "7",
        "colour": ZONE_COLOURS[2],
        "classes": "card",
        "chosen": False,
    }


@pytest.mark.parametrize(
    ("heart_rate_bpm", "width"), [(None, 0), (130, 65), (200, 100), (230, 100)]
)
def test_the_bar_of_a_card_is_the_share_and_ends_at_all_of_it(
    heart_rate_bpm: float | None, width: int
) -> None:
    [card] = cards(a_ride(heart_rate_bpm), {}, chosen=None)
    assert f'<i style="width:{width}%"></i>' in str(card["html"])


def test_a_sparkline_reaches_from_a_third_of_the_maximum_to_a_little_beyond() -> None:
    [card] = cards(a_ride(130), {7: [70, 145, 220, 300]}, chosen=None)
    assert '<path d="M57 60L58 30L59 0L60 0"/>' in str(card["html"])


def test_who_is_not_known_has_a_card_that_says_so() -> None:
    [card] = cards(a_ride(None, name=""), {}, chosen=None)
    assert '<span class="name">Unknown rider</span>' in str(card["html"])
    assert "<span>no hands on the bar</span>" in str(card["html"])
