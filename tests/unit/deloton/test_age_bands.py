"""The bands of age that pages and reports show riders in."""

from deloton.rules.age_bands import BAND_AGES


def test_age_bands_have_names_and_years() -> None:
    assert BAND_AGES == {
        "under 25": (None, 24),
        "25–34": (25, 34),
        "35–44": (35, 44),
        "45–54": (45, 54),
        "55–64": (55, 64),
        "65 and over": (65, None),
    }
