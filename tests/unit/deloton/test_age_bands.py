"""The bands of age that pages and reports show riders in."""

from deloton.age_bands import AGE_BANDS


def test_age_bands_have_names() -> None:
    assert AGE_BANDS == ("under 25", "25–34", "35–44", "45–54", "55–64", "65 and over")
