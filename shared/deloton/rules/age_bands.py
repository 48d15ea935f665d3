"""CORE: the bands of age that pages and reports show riders in."""

from typing import Final

# The first year of each age band but the lowest.
BAND_STARTS: Final = (25, 35, 45, 55, 65)


def age_band_label(number: int) -> str:
    """The name of an age band by its number from 0: `under 25`, `25–34`, `65 and over`."""
    if number == 0:
        return f"under {BAND_STARTS[0]}"
    if number == len(BAND_STARTS):
        return f"{BAND_STARTS[-1]} and over"
    return f"{BAND_STARTS[number - 1]}–{BAND_STARTS[number] - 1}"


# The names of all bands, youngest first.
AGE_BANDS: Final = tuple(age_band_label(number) for number in range(len(BAND_STARTS) + 1))

# The years of each band, both included; None: no bound.
BAND_AGES: Final[dict[str, tuple[int | None, int | None]]] = dict(
    zip(
        AGE_BANDS,
        zip((None, *BAND_STARTS), (*(start - 1 for start in BAND_STARTS), None), strict=True),
        strict=True,
    )
)
